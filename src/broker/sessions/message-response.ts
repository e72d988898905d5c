// The response to a message of HTTP+SSE (2024-11-05): what would be the response of streamable HTTP goes, event by event, to
// the stream of its session. I/O.
// https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { Writable } from "node:stream";
import { eventOf } from "../upstream/event-stream.ts";

/** What a response is written to: one of Node's HTTP server, or one that stands for it. */
export interface ResponseSink extends Writable {
  readonly headersSent: boolean;
  readonly socket: { readonly bytesWritten: number } | null;
  writeHead(status: number, headers?: OutgoingHttpHeaders): this;
  flushHeaders(): void;
}

const END_OF_EVENT = "\n\n";

/**
 * Events of several responses share a stream, so each is written whole: what is not complete is kept, and is part of
 * `writableLength`, which the relay takes from the caller's bytes. Closes with the stream.
 */
export class MessageResponse extends Writable implements ResponseSink {
  #stream: ServerResponse | null = null;
  #parts: Buffer[] = [];
  #isJson = false;
  #isUnread = false;
  headersSent = false;

  constructor() {
    super();
    const own = Object.getOwnPropertyDescriptor(Writable.prototype, "writableLength")?.get;
    const get = () => Number(own?.call(this) ?? 0) + this.#parts.reduce((sum, { length }) => sum + length, 0);
    Object.defineProperty(this, "writableLength", { get });
  }

  /** The stream that it is written to from now on. */
  attach(stream: ServerResponse): void {
    this.#stream = stream;
    const close = () => this.destroy();
    if (stream.closed) close();
    else stream.once("close", close);
    this.once("close", () => stream.off("close", close));
  }

  get isAttached(): boolean {
    return this.#stream !== null;
  }

  /** Of the stream: its silence is the client's. */
  get socket(): ServerResponse["socket"] {
    return this.#stream?.socket ?? null;
  }

  writeHead(_status: number, headers: OutgoingHttpHeaders = {}): this {
    this.headersSent = true;
    this.#isJson = headers["content-type"] === "application/json";
    return this;
  }

  flushHeaders(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#parts.push(chunk);
    if (this.#isJson || !chunk.subarray(-END_OF_EVENT.length).equals(Buffer.from(END_OF_EVENT))) done();
    else this.#send(this.#take(), done);
  }

  override _final(done: () => void): void {
    const parts = this.#take();
    if (this.#isJson && parts.length > 0) this.#send(eventOf(parts), done);
    else done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#parts = [];
    // A client who does not read what was sent would keep it for ever.
    if (this.#isUnread) this.#stream?.destroy();
    done(error);
  }

  #take(): Buffer[] {
    return this.#parts.splice(0);
  }

  /** In one write: nothing else of the stream comes between. */
  #send(parts: readonly Uint8Array[], done: () => void): void {
    const stream = this.#stream;
    if (stream === null || stream.writableEnded || stream.destroyed || stream.write(Buffer.concat(parts))) {
      done();
      return;
    }
    this.#isUnread = true;
    stream.once("drain", () => {
      this.#isUnread = false;
      done();
    });
  }
}
