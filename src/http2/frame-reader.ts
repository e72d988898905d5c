// Frames out of the bytes of a connection, however they are cut. Pure.
import { ConnectionFault, ERROR } from "./fault.ts";
import { FRAME_BYTES, HEADER_BYTES, PREFACE, type Frame } from "./frame.ts";

const NOTHING: Buffer = Buffer.alloc(0);

/**
 * Reads the client's preface, then frames (RFC 9113 §3.4, §4.1). A frame that lies whole in a part is not copied; of one that
 * does not, its announced length is held, 16 KiB at most.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void;
  readonly #frame: Frame = { type: 0, flags: 0, stream: 0, bytes: NOTHING, start: 0, end: 0 };
  /** Bytes of the preface that came. */
  #prefaced = 0;
  /** A frame, or its header, of which a part came. */
  #store: Buffer | null = null;
  #filled = 0;

  /** @param onFrame must not keep the frame; the payload's bytes stay as they are */
  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame;
  }

  /** True where the peer has begun something that is not whole. */
  get isWaiting(): boolean {
    return this.#store !== null || this.#prefaced < PREFACE.length;
  }

  /** @throws {ConnectionFault} for another preface and for a frame that is too long */
  push(part: Buffer): void {
    let at = this.#prefaced < PREFACE.length ? this.#preface(part) : 0;
    while (at < part.length) {
      if (this.#store !== null) at = this.#fill(this.#store, part, at);
      else if (part.length - at < HEADER_BYTES) at = this.#begin(HEADER_BYTES, part, at);
      else {
        const bytes = HEADER_BYTES + payloadBytes(part, at);
        if (part.length - at < bytes) at = this.#begin(bytes, part, at);
        else {
          this.#emit(part, at, at + bytes);
          at += bytes;
        }
      }
    }
  }

  #preface(part: Buffer): number {
    const bytes = Math.min(PREFACE.length - this.#prefaced, part.length);
    if (PREFACE.compare(part, 0, bytes, this.#prefaced, this.#prefaced + bytes) !== 0) {
      throw new ConnectionFault(ERROR.protocol, "another preface");
    }
    this.#prefaced += bytes;
    return bytes;
  }

  #begin(bytes: number, part: Buffer, at: number): number {
    this.#store = Buffer.allocUnsafe(bytes);
    this.#filled = 0;
    return this.#fill(this.#store, part, at);
  }

  #fill(store: Buffer, part: Buffer, at: number): number {
    const end = Math.min(part.length, at + store.length - this.#filled);
    part.copy(store, this.#filled, at, end);
    this.#filled += end - at;
    if (this.#filled < store.length) return end;
    const bytes = HEADER_BYTES + payloadBytes(store, 0);
    if (bytes === store.length) {
      this.#store = null;
      this.#emit(store, 0, bytes);
    } else {
      this.#store = Buffer.allocUnsafe(bytes);
      store.copy(this.#store, 0, 0, HEADER_BYTES);
    }
    return end;
  }

  #emit(bytes: Buffer, at: number, end: number): void {
    const frame = this.#frame;
    frame.type = bytes[at + 3] ?? 0;
    frame.flags = bytes[at + 4] ?? 0;
    frame.stream = bytes.readUInt32BE(at + 5) & 0x7fffffff;
    frame.bytes = bytes;
    frame.start = at + HEADER_BYTES;
    frame.end = end;
    this.#onFrame(frame);
    frame.bytes = NOTHING;
  }
}

function payloadBytes(bytes: Buffer, at: number): number {
  const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
  if (length > FRAME_BYTES) throw new ConnectionFault(ERROR.frameSize, "a frame above SETTINGS_MAX_FRAME_SIZE");
  return length;
}
