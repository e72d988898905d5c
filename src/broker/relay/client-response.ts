// Writes the response of a call to its client, as JSON or as an event stream, no faster than the client reads. I/O.
import type { ServerResponse } from "node:http";
import type { Refused } from "../../authz/step.ts";
import type { Accepts } from "../accept-header.ts";
import type { Brake } from "../upstream/brake.ts";
import { eventOf } from "../upstream/event-stream.ts";
import type { Hold } from "../held-bytes.ts";
import { lengthOf, type ClientResponse } from "./response.ts";

/** The client of a call. */
export interface RelayClient {
  readonly response: ServerResponse;
  readonly accepts: Accepts;
  readonly requestId: string;
  /** Bytes that are held for this request, until the client has read the response. */
  readonly hold: Hold;
  /** A refusal as a JSON-RPC error with the request's id. */
  readonly errorBody: (refused: Refused) => string;
}

/** All headers of a response, beside content-type and content-length. */
const HEADERS = { "cache-control": "no-store" };

/** An event stream to a client. */
export interface EventWriter {
  event(data: Buffer): void;
  /** Sends a comment if nothing was sent for a while: the call goes on. */
  keepAlive(): void;
}

const KEEP_ALIVE_MS = 10_000;
/** Up to this size one copy is cheaper than several writes. */
const MAX_COPY_BYTES = 64 * 1024;
const COMMENT = ":\n\n";

/**
 * Begins a stream, which is written no faster than its client reads.
 * @param monotonic milliseconds of a clock that never goes back
 */
export function beginStream({ response }: RelayClient, source: Brake, monotonic: () => number): EventWriter {
  writeStreamHead(response);
  let goOn: (() => void) | null = null;
  response.on("drain", () => {
    goOn?.();
    goOn = null;
  });
  let writtenAt = monotonic();
  const write = (bytes: Buffer | string) => {
    writtenAt = monotonic();
    if (!response.write(bytes)) goOn ??= source.hold();
  };
  return {
    event: (data) => write(Buffer.concat(eventOf([data]))),
    keepAlive() {
      if (monotonic() - writtenAt >= KEEP_ALIVE_MS) write(COMMENT);
    },
  };
}

function writeStreamHead(response: ServerResponse): void {
  response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" });
  response.flushHeaders();
}

/** Sends a complete response, as an event where the client does not accept JSON. */
export function sendResponse(client: RelayClient, { status, body }: ClientResponse): void {
  const { response, accepts } = client;
  if (!accepts.json && status === 200) {
    writeStreamHead(response);
    writeLast(response, eventOf(body));
    return;
  }
  response.writeHead(status, { ...HEADERS, "content-type": "application/json", "content-length": lengthOf(body) });
  writeLast(response, body);
}

function writeLast(response: ServerResponse, parts: readonly Uint8Array[]): void {
  if (lengthOf(parts) <= MAX_COPY_BYTES) {
    response.end(Buffer.concat(parts));
    return;
  }
  response.cork();
  for (const part of parts) response.write(part);
  response.uncork(); // `end` of a corked chunked response writes the last chunk before the others
  response.end();
}

/** Sends the last event of a stream. The connection of a client that does not read is closed instead. */
export function endStream({ response }: RelayClient, message: readonly Uint8Array[]): void {
  if (response.writableNeedDrain) response.destroy();
  else writeLast(response, eventOf(message));
}

/** Ends the response to a call that its client has cancelled: without an answer, as the protocol wants it. */
export function endCancelled({ response, accepts }: RelayClient): void {
  if (response.writableNeedDrain) response.destroy();
  else if (response.headersSent) response.end();
  else if (accepts.stream) response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" }).end();
  else response.writeHead(202, HEADERS).end();
}
