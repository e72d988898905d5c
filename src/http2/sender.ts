// The way out of a connection: frames in their order, DATA as far as the client's windows reach (RFC 9113 §5.2, §6.9). Pure.
import { ConnectionFault, ERROR, StreamFault } from "./fault.ts";
import {
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  FRAME_BYTES,
  HEADER_BYTES,
  headersFrame,
  MAX_WINDOW,
  writeHeader,
} from "./frame.ts";
import type { Stream } from "./stream.ts";

export class Sender {
  readonly #write: (bytes: Buffer) => void;
  /** Told when the response of a stream has gone out whole. */
  readonly #onEnd: (stream: Stream) => void;
  #window = DEFAULT_WINDOW;
  #initialWindow = DEFAULT_WINDOW;
  #frameBytes = FRAME_BYTES;
  /** Streams with DATA that waits. */
  readonly #waiting = new Set<Stream>();
  /** Those of them that wait for the connection's window alone, in their order. */
  readonly #blocked = new Set<Stream>();

  constructor(write: (bytes: Buffer) => void, onEnd: (stream: Stream) => void) {
    this.#write = write;
    this.#onEnd = onEnd;
  }

  /** What the next stream begins with. */
  get initialWindow(): number {
    return this.#initialWindow;
  }

  /** True where an answer waits for a window of the client. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  set frameBytes(bytes: number) {
    this.#frameBytes = bytes;
  }

  /** @param block of header fields; with `isLast` it is the whole response */
  headers(stream: Stream, block: Buffer, isLast: boolean): void {
    this.#write(headersFrame(stream.id, block, isLast));
    if (isLast) this.#end(stream);
  }

  data(stream: Stream, bytes: Buffer): void {
    if (stream.waiting.length > 0 || !this.#fits(stream, bytes.length)) {
      stream.waiting.push(bytes);
      this.#waiting.add(stream);
      this.#pump(stream);
      return;
    }
    this.#dataFrame(stream, bytes);
  }

  /** Ends the response once its DATA has left. */
  trailers(stream: Stream, block: Buffer): void {
    stream.trailers = block;
    if (stream.waiting.length === 0) this.#finish(stream);
  }

  /** Header fields, one message and trailers, in one buffer where the windows allow it. */
  whole(stream: Stream, { head, message, trailers }: { head: Buffer; message: Buffer; trailers: Buffer }): void {
    if (!this.#fits(stream, message.length)) {
      this.headers(stream, head, false);
      this.data(stream, message);
      this.trailers(stream, trailers);
      return;
    }
    const bytes = Buffer.allocUnsafe(3 * HEADER_BYTES + head.length + message.length + trailers.length);
    const { id } = stream;
    let at = writeHeader(bytes, 0, { length: head.length, type: FRAME.headers, flags: FLAG.endHeaders, stream: id });
    at += head.copy(bytes, at);
    at = writeHeader(bytes, at, { length: message.length, type: FRAME.data, flags: 0, stream: id });
    at += message.copy(bytes, at);
    const flags = FLAG.endHeaders | FLAG.endStream;
    at = writeHeader(bytes, at, { length: trailers.length, type: FRAME.headers, flags, stream: id });
    trailers.copy(bytes, at);
    this.#take(stream, message.length);
    this.#write(bytes);
    this.#end(stream);
  }

  /** WINDOW_UPDATE of the connection. */
  openConnection(bytes: number): void {
    if (bytes === 0 || this.#window + bytes > MAX_WINDOW) {
      throw new ConnectionFault(bytes === 0 ? ERROR.protocol : ERROR.flowControl, "a window update of 0 or too far");
    }
    const wasOpen = this.#window > 0;
    this.#window += bytes;
    if (!wasOpen) this.#pumpAll();
  }

  /** WINDOW_UPDATE of a stream. */
  openStream(stream: Stream, bytes: number): void {
    if (bytes === 0 || stream.sendWindow + bytes > MAX_WINDOW) {
      throw new StreamFault(bytes === 0 ? ERROR.protocol : ERROR.flowControl, "a window update of 0 or too far");
    }
    stream.sendWindow += bytes;
    if (stream.waiting.length > 0) this.#pump(stream);
  }

  /** SETTINGS_INITIAL_WINDOW_SIZE changes the windows of all open streams by the difference (RFC 9113 §6.9.2). */
  setInitialWindow(bytes: number, streams: Iterable<Stream>): void {
    const difference = bytes - this.#initialWindow;
    this.#initialWindow = bytes;
    for (const stream of streams) {
      stream.sendWindow += difference;
      if (stream.sendWindow > MAX_WINDOW) throw new ConnectionFault(ERROR.flowControl, "a stream's window too far");
    }
    if (difference > 0) for (const stream of [...this.#waiting]) this.#pump(stream);
  }

  /** Forgets a stream that is closed. */
  drop(stream: Stream): void {
    stream.waiting.length = 0;
    stream.trailers = null;
    this.#waiting.delete(stream);
    this.#blocked.delete(stream);
  }

  #fits(stream: Stream, bytes: number): boolean {
    return bytes <= this.#window && bytes <= stream.sendWindow && bytes <= this.#frameBytes;
  }

  #take(stream: Stream, bytes: number): void {
    this.#window -= bytes;
    stream.sendWindow -= bytes;
  }

  #dataFrame(stream: Stream, payload: Buffer): void {
    const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
    const at = writeHeader(bytes, 0, { length: payload.length, type: FRAME.data, flags: 0, stream: stream.id });
    payload.copy(bytes, at);
    this.#take(stream, payload.length);
    this.#write(bytes);
  }

  /** Not over a copy: a client may open the window byte by byte, with thousands of streams behind it. */
  #pumpAll(): void {
    for (const stream of this.#blocked) {
      if (this.#window <= 0) return;
      this.#pump(stream);
    }
  }

  #pump(stream: Stream): void {
    for (let next = stream.waiting[0]; next !== undefined; next = stream.waiting[0]) {
      const bytes = Math.min(next.length, this.#window, stream.sendWindow, this.#frameBytes);
      if (bytes <= 0) {
        if (stream.sendWindow > 0) this.#blocked.add(stream);
        else this.#blocked.delete(stream);
        return;
      }
      this.#dataFrame(stream, next.subarray(0, bytes));
      if (bytes === next.length) stream.waiting.shift();
      else stream.waiting[0] = next.subarray(bytes);
    }
    this.#waiting.delete(stream);
    this.#blocked.delete(stream);
    this.#finish(stream);
  }

  #finish(stream: Stream): void {
    if (stream.trailers === null) return;
    this.#write(headersFrame(stream.id, stream.trailers, true));
    this.#end(stream);
  }

  #end(stream: Stream): void {
    stream.isWriting = false;
    this.#onEnd(stream);
  }
}
