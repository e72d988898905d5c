import type { ServerResponse } from "node:http";
import type { Refused } from "../../authz/step.ts";
import type { Accepts } from "../accept-header.ts";
import type { Brake } from "../upstream/brake.ts";
import { eventOf } from "../upstream/event-stream.ts";
import type { Hold } from "../held-bytes.ts";
import { lengthOf, type RelayAnswer } from "./response.ts";

/** Who waits for the answer of a call. */
export interface RelayClient {
  readonly response: ServerResponse;
  readonly accepts: Accepts;
  readonly requestId: string;
  /** What is held for this request: until the client has read its answer. */
  readonly hold: Hold;
  /** A refusal as a JSON-RPC error with the request's id. */
  readonly errorBody: (refused: Refused) => string;
}

/** All that a client is told of an answer besides its body (design 4.5). */
const HEADERS = { "cache-control": "no-store" };

/** A stream to a client. */
export interface EventWriter {
  event(data: Buffer): void;
  /** The server said something that the client needs not know: she is told that the call goes on, now and then. */
  alive(): void;
}

const ALIVE_EVERY_MS = 10_000;
/** A copy of less is cheaper than several writes. */
const MAX_COPY_BYTES = 64 * 1024;
const ALIVE = ":\n\n";

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
    alive() {
      if (monotonic() - writtenAt >= ALIVE_EVERY_MS) write(ALIVE);
    },
  };
}

function writeStreamHead(response: ServerResponse): void {
  response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" });
  response.flushHeaders();
}

/** The whole answer, in the form that the client takes. */
export function sendAnswer(client: RelayClient, { status, body }: RelayAnswer): void {
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

/** The last event of a stream. A client that does not read has had her time: her connection is closed. */
export function endStream({ response }: RelayClient, message: readonly Uint8Array[]): void {
  if (response.writableNeedDrain) response.destroy();
  else writeLast(response, eventOf(message));
}
