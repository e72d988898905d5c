// Responses that a transport makes up, for those who read them as a server's: empty ones, and streams of events.
import { Readable } from "node:stream";
import { HttpFault, type HttpHeaders, type HttpResponse } from "../../http/client.ts";
import { eventOf } from "./event-stream.ts";

/** A response without a body. */
export function emptyResponse(status: number): HttpResponse {
  return Object.assign(Readable.from([]), { statusCode: status, headers: {} });
}

/** A response of messages, written no faster than it is read: an event stream, or JSON if the first one ends it. */
export class MadeStream extends Readable implements HttpResponse {
  readonly statusCode = 200;
  readonly #begun = Promise.withResolvers<void>();
  readonly #headers: HttpHeaders;
  #type: "application/json" | "text/event-stream" | null = null;
  #goOn: (() => void) | null = null;

  constructor(headers: HttpHeaders = {}) {
    super({ highWaterMark: 64 * 1024 });
    this.#headers = headers;
    this.#begun.promise.catch(() => {});
    this.on("error", () => {}); // one that nobody reads must not end the process
  }

  get headers(): HttpHeaders {
    return { ...this.#headers, "content-type": this.#type ?? "text/event-stream" };
  }

  /** Resolves when the head of the response is known: with the first message. Rejects if the end comes before. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  /** Begins as an event stream, before there is a message. */
  begin(): void {
    this.#type ??= "text/event-stream";
    this.#begun.resolve();
  }

  /** Writes a message. A promise while the reader is behind. */
  message(json: Uint8Array): Promise<void> | null {
    this.begin();
    return this.#write(eventOf([json]));
  }

  /** Writes the last message. */
  finish(json: Uint8Array): Promise<void> | null {
    this.#type ??= "application/json";
    const written = this.#write(this.#type === "application/json" ? [json] : eventOf([json]));
    if (!this.destroyed) this.push(null);
    this.#begun.resolve();
    return written;
  }

  #write(parts: readonly Uint8Array[]): Promise<void> | null {
    if (this.destroyed) return null;
    let hasRoom = true;
    for (const part of parts) hasRoom = this.push(part);
    return hasRoom ? null : new Promise((done) => (this.#goOn = done));
  }

  override _read(): void {
    this.#release();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#release();
    this.#begun.reject(error ?? new HttpFault("cut_off"));
    callback(error);
  }

  #release(): void {
    const goOn = this.#goOn;
    this.#goOn = null;
    goOn?.();
  }
}
