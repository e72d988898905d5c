// Writes the response of a call to its client, as JSON or as an event stream, no faster than the client reads. I/O.
import type { ResponseSink } from "../sessions/message-response.ts";
import type { Refused } from "../../authz/step.ts";
import type { Accepts } from "../../mcp/accept-header.ts";
import type { Brake } from "../upstream/brake.ts";
import { eventOf, HEAD, inOneLine, TAIL } from "../upstream/event-stream.ts";
import type { Hold } from "../held-bytes.ts";
import { lengthOf, type ClientResponse } from "./response.ts";

/** The client of a call. */
export interface RelayClient {
  readonly response: ResponseSink;
  readonly accepts: Accepts;
  readonly requestId: string;
  /** Bytes that are held for this request, until the client has read the response. */
  readonly hold: Hold;
  /** A refusal as a JSON-RPC message with the request's id. */
  readonly errorBody: (refused: Refused) => string;
}

/** All headers of a response, beside content-type and content-length. */
const HEADERS = { "cache-control": "no-store" };

/** An event stream to a client. */
export interface EventWriter {
  /** @param id under which the client can ask for what comes after it; null for none */
  event(data: Buffer, id: string | null): void;
  /** An event without data: where the stream is. @param retryMs when she is to ask again once it has ended; null for none */
  position(id: string, retryMs: number | null): void;
}

/** Up to this size one copy is cheaper than several writes. */
const MAX_COPY_BYTES = 64 * 1024;
const COMMENT = ":\n\n";

/** The streams that have begun, by their responses. */
const streams = new WeakMap<ResponseSink, ClientStream>();

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
  readonly #writer: PacedWriter;
  readonly #response: ResponseSink;

  constructor(response: ResponseSink) {
    this.#response = response;
    writeStreamHead(response);
    this.#writer = new PacedWriter(response);
  }

  set source(source: Brake) {
    this.#writer.source = source;
  }

  event(data: Buffer, id: string | null): void {
    const head = id === null ? [] : [Buffer.from(`id: ${id}\n`)];
    this.#writer.write([Buffer.concat([...head, ...eventOf([data])])]);
  }

  position(id: string, retryMs: number | null): void {
    this.#writer.write([`id: ${id}\n${retryMs === null ? "" : `retry: ${retryMs}\n`}data: \n\n`]);
  }

  /** A client that has not read what was sent needs no sign of life, and within an event there is no place for one. */
  comment(): void {
    if (!this.#response.writableNeedDrain && !answers.has(this.#response)) this.#writer.write([COMMENT]);
  }
}

/** Writes no faster than the client reads. */
class PacedWriter {
  readonly #response: ResponseSink;
  #goOn: (() => void) | null = null;
  /** What is paused while the client does not read. */
  source: Brake | null = null;

  constructor(response: ResponseSink, source: Brake | null = null) {
    this.#response = response;
    this.source = source;
    response.on("drain", () => {
      this.#goOn?.();
      this.#goOn = null;
    });
  }

  write(parts: readonly (Uint8Array | string)[]): void {
    for (const part of parts)
      if (part.length > 0 && !this.#response.write(part)) this.#goOn ??= this.source?.hold() ?? null;
  }
}

/** Begins the stream of a client who has nothing else yet. */
export function openStream(client: RelayClient): void {
  streamOf(client);
}

/** An answer that its client gets before it is complete. */
export interface AnswerWriter {
  write(parts: readonly Uint8Array[]): void;
  end(parts: readonly Uint8Array[]): void;
}

/** Answers that have begun and are not complete, by their responses. */
const answers = new WeakMap<ResponseSink, FlowingAnswer>();

/** Begins an answer under 200, as {@link sendResponse} would send it. */
export function beginAnswer(client: RelayClient, source: Brake): AnswerWriter {
  const { response, accepts } = client;
  const isEvent = response.headersSent || !accepts.json;
  if (isEvent) beginStream(client, source);
  else response.writeHead(200, { ...HEADERS, "content-type": "application/json" });
  const answer = new FlowingAnswer(response, new PacedWriter(response, source), isEvent);
  answers.set(response, answer);
  return answer;
}

class FlowingAnswer implements AnswerWriter {
  readonly #response: ResponseSink;
  readonly #writer: PacedWriter;
  readonly #isEvent: boolean;

  constructor(response: ResponseSink, writer: PacedWriter, isEvent: boolean) {
    this.#response = response;
    this.#writer = writer;
    this.#isEvent = isEvent;
    if (isEvent) writer.write([HEAD]);
  }

  write(parts: readonly Uint8Array[]): void {
    this.#writer.write(this.#isEvent ? parts.map(inOneLine) : parts);
  }

  end(parts: readonly Uint8Array[]): void {
    this.write(parts);
    if (this.#isEvent) this.#writer.write([TAIL]);
    answers.delete(this.#response);
    this.#response.end();
  }

  /** Ends the response so that nobody takes it for whole. @param message in place of the answer, if there is a way to tell it */
  breakOff(message: readonly Uint8Array[] | null): void {
    const response = this.#response;
    if (!this.#isEvent || message === null || response.writableNeedDrain) response.destroy();
    else {
      // The last type of an event counts: clients skip one that they do not know.
      response.write("\nevent: incomplete\n\n");
      writeLast(response, eventOf(message));
    }
  }
}

function writeStreamHead(response: ResponseSink): void {
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

function writeLast(response: ResponseSink, parts: readonly Uint8Array[]): void {
  if (lengthOf(parts) <= MAX_COPY_BYTES) {
    // Latin-1 is these bytes, one by one: Node sends a text in one write with the head, and a buffer in two.
    response.end(Buffer.concat(parts).toString("latin1"), "latin1");
    return;
  }
  response.cork();
  for (const part of parts) response.write(part);
  response.uncork(); // `end` of a corked chunked response writes the last chunk before the others
  response.end();
}

/** Sends the last event of a stream. The connection of a client that does not read is closed instead. */
export function endStream({ response }: RelayClient, message: readonly Uint8Array[]): void {
  const answer = answers.get(response);
  if (answer !== undefined) answer.breakOff(message);
  else if (response.writableNeedDrain) response.destroy();
  else writeLast(response, eventOf(message));
}

/** Ends the response to a call that its client has cancelled: without an answer, as the protocol wants it. */
export function endCancelled({ response, accepts }: RelayClient): void {
  const answer = answers.get(response);
  if (answer !== undefined) answer.breakOff(null);
  else if (response.writableNeedDrain) response.destroy();
  else if (response.headersSent) response.end();
  else if (accepts.stream) response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" }).end();
  else response.writeHead(202, HEADERS).end();
}
