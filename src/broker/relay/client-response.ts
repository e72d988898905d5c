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
}

/** Up to this size one copy is cheaper than several writes. */
const MAX_COPY_BYTES = 64 * 1024;
const COMMENT = ":\n\n";

/** The streams that have begun, by their responses. */
const streams = new WeakMap<ServerResponse, ClientStream>();

/**
 * Shows the client that her call goes on, so that no balancer with an idle limit ends it: a stream that is silent for so long
 * gets a comment, and a client who accepts streams and has got nothing yet gets the head of one. Until the response ends.
 */
export function keepAlive(client: RelayClient, silenceMs: number): void {
  const { response, accepts } = client;
  if (!accepts.stream) return;
  let lastTick: number | undefined;
  // Two ticks without a byte between them: no silence is longer than `silenceMs`.
  const timer = setInterval(() => {
    const sent = response.socket?.bytesWritten;
    if (response.writableEnded || response.destroyed) clearInterval(timer);
    else if (sent === lastTick) streamOf(client)?.comment();
    lastTick = response.socket?.bytesWritten;
  }, silenceMs / 2);
  response.once("close", () => clearInterval(timer));
}

/** The stream to a client, which begins now unless it has. Null for a response that is no stream. */
function streamOf({ response }: RelayClient): ClientStream | null {
  if (!response.headersSent) streams.set(response, new ClientStream(response));
  return streams.get(response) ?? null;
}

/** Begins a stream, which is written no faster than its client reads. */
export function beginStream(client: RelayClient, source: Brake): EventWriter {
  const stream = streamOf(client);
  if (stream === null) throw new Error("the response is no stream");
  stream.source = source;
  return stream;
}

class ClientStream implements EventWriter {
  readonly #response: ServerResponse;
  #goOn: (() => void) | null = null;
  /** What is paused while the client does not read. */
  source: Brake | null = null;

  constructor(response: ServerResponse) {
    this.#response = response;
    writeStreamHead(response);
    response.on("drain", () => {
      this.#goOn?.();
      this.#goOn = null;
    });
  }

  event(data: Buffer): void {
    this.#write(Buffer.concat(eventOf([data])));
  }

  /** A client that has not read what was sent needs no sign of life. */
  comment(): void {
    if (!this.#response.writableNeedDrain) this.#write(COMMENT);
  }

  #write(bytes: Buffer | string): void {
    if (!this.#response.write(bytes)) this.#goOn ??= this.source?.hold() ?? null;
  }
}

function writeStreamHead(response: ServerResponse): void {
  response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" });
  response.flushHeaders();
}

/** Sends a complete response, as an event where the client does not accept JSON or her stream has begun. */
export function sendResponse(client: RelayClient, { status, body }: ClientResponse): void {
  const { response, accepts } = client;
  if (response.headersSent) {
    endStream(client, body);
    return;
  }
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
