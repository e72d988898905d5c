// The way in of bodies: DATA into the streams, and the windows that we open (RFC 9113 §5.2, §6.1). Pure.
import { ConnectionFault, ERROR, StreamFault } from "./fault.ts";
import { windowUpdateFrame, type Frame } from "./frame.ts";
import { withoutPadding } from "./header-block.ts";
import type { HeldBytes } from "./held-bytes.ts";
import { CONNECTION_WINDOW, STREAM_WINDOW } from "./limits.ts";
import type { Stream } from "./stream.ts";

/** Bytes of header fields that are not counted. */
const SHORT_HEAD = 1024;

export interface ReceiverPorts {
  /** Takes bytes for the client, in their order. */
  readonly write: (bytes: Buffer) => void;
  /** What the connections of the server hold. */
  readonly held: HeldBytes;
}

export class Receiver {
  readonly #write: (bytes: Buffer) => void;
  /** Bytes that the client may still send. */
  #window = CONNECTION_WINDOW;
  /** Bytes of bodies that are not whole: this connection's, as part of the server's. */
  #held = 0;
  readonly #all: HeldBytes;
  readonly #wake = () => this.#open();
  #isOver = false;

  constructor({ write, held }: ReceiverPorts) {
    this.#write = write;
    this.#all = held;
  }

  /** The connection is over: no window is opened any more. */
  close(): void {
    this.#isOver = true;
    this.#all.forget(this.#wake);
  }

  /** Counts what an open stream keeps of its header fields, where they are long: it has more than that itself where they are not. */
  open(stream: Stream): void {
    const { path, contentType, grpcTimeout = "" } = stream.head;
    const bytes = path.length + contentType.length + grpcTimeout.length;
    if (bytes <= SHORT_HEAD) return;
    this.#take(bytes);
    stream.headBytes = bytes;
  }

  /** The stream is closed: nothing of it is held. */
  forget(stream: Stream): void {
    this.drop(stream);
    this.#free(stream.headBytes);
    stream.headBytes = 0;
  }

  /** Counts DATA against the connection's window, whatever becomes of it. */
  count({ start, end }: Frame): void {
    this.#window -= end - start;
    if (this.#window < 0) throw new ConnectionFault(ERROR.flowControl, "DATA beyond the connection's window");
    this.#open();
  }

  /** Takes DATA of an open stream. @param isLast with END_STREAM */
  data(stream: Stream, frame: Frame, isLast: boolean): void {
    stream.receiveWindow -= frame.end - frame.start;
    if (stream.receiveWindow < 0) throw new StreamFault(ERROR.flowControl, "DATA beyond the stream's window");
    const { start, end } = withoutPadding(frame);
    stream.bodyBytes += end - start;
    const { contentLength } = stream.head;
    if (contentLength !== null && stream.bodyBytes > contentLength) {
      throw new StreamFault(ERROR.protocol, "more DATA than content-length says");
    }
    if (stream.body !== null && end > start) this.#keep(stream, frame.bytes.subarray(start, end), isLast);
    if (!isLast && stream.receiveWindow < STREAM_WINDOW / 2) {
      this.#write(windowUpdateFrame(stream.id, STREAM_WINDOW - stream.receiveWindow));
      stream.receiveWindow = STREAM_WINDOW;
    }
  }

  /** END_STREAM of the client. */
  end(stream: Stream): void {
    stream.isReading = false;
    const { contentLength } = stream.head;
    if (contentLength !== null && stream.bodyBytes !== contentLength) {
      throw new StreamFault(ERROR.protocol, "less DATA than content-length says");
    }
    const { body } = stream;
    if (body === null) {
      stream.listener?.onEnd?.();
      return;
    }
    this.drop(stream);
    stream.listener?.onBody(body.take());
  }

  /** The body is not wanted any more. */
  drop(stream: Stream): void {
    if (stream.body === null) return;
    const { length } = stream.body;
    stream.body = null;
    this.#free(length);
  }

  #take(bytes: number, isLast = false): void {
    if (!isLast && this.#all.isFull(this.#held + bytes))
      throw new StreamFault(ERROR.enhanceYourCalm, "more bytes of requests than are held");
    this.#held += bytes;
    this.#all.take(bytes);
  }

  #free(bytes: number): void {
    if (bytes === 0) return;
    this.#held -= bytes;
    this.#all.free(bytes);
    this.#open();
  }

  #keep(stream: Stream, part: Buffer, isLast: boolean): void {
    const body = stream.body;
    if (body === null) return;
    if (body.length + part.length > stream.maxBodyBytes) {
      this.drop(stream);
      stream.listener?.onBody(null);
      return;
    }
    // The last part is handed over at once: it holds nothing, and is counted for `drop` alone.
    this.#take(part.length, isLast);
    // A part that stays is copied: else one byte would hold all that was read with it.
    body.push(isLast ? part : Buffer.from(part));
  }

  #open(): void {
    if (this.#isOver || this.#window > CONNECTION_WINDOW / 2) return;
    if (this.#all.isScarce(this.#held)) {
      this.#all.wait(this.#wake);
      return;
    }
    this.#write(windowUpdateFrame(0, CONNECTION_WINDOW - this.#window));
    this.#window = CONNECTION_WINDOW;
  }
}
