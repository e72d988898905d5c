// A header block out of HEADERS and CONTINUATION frames (RFC 9113 §4.3, §6.2, §6.10). Pure.
import { ConnectionFault, ERROR } from "./fault.ts";
import { FLAG, FRAME, type Frame } from "./frame.ts";
import { BLOCK_BYTES, BLOCK_FRAMES } from "./limits.ts";

/** A whole block, on its stream. */
export interface HeaderBlock {
  readonly stream: number;
  readonly isLast: boolean;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** A block of which a part came. */
interface Begun {
  readonly stream: number;
  readonly isLast: boolean;
  readonly parts: Buffer[];
  bytes: number;
}

export class HeaderBlocks {
  #begun: Begun | null = null;

  /** True while only a CONTINUATION of this block may come. */
  get isOpen(): boolean {
    return this.#begun !== null;
  }

  /** @returns the block, or null if more of it must come */
  headers(frame: Frame): HeaderBlock | null {
    const { start, end } = withoutPadding(frame);
    const hasPriority = (frame.flags & FLAG.priority) !== 0;
    if (hasPriority && end - start < 5) throw new ConnectionFault(ERROR.frameSize, "HEADERS without its priority");
    if (hasPriority && dependsOnItself(frame, start)) {
      throw new ConnectionFault(ERROR.protocol, "a stream that depends on itself");
    }
    const { stream, bytes } = frame;
    const isLast = (frame.flags & FLAG.endStream) !== 0;
    const from = hasPriority ? start + 5 : start;
    if ((frame.flags & FLAG.endHeaders) !== 0) return { stream, isLast, bytes, start: from, end };
    this.#begun = { stream, isLast, parts: [Buffer.from(bytes.subarray(from, end))], bytes: end - from };
    return null;
  }

  continuation(frame: Frame): HeaderBlock | null {
    const begun = this.#begun;
    if (begun === null || begun.stream !== frame.stream) {
      throw new ConnectionFault(ERROR.protocol, "CONTINUATION without HEADERS before it");
    }
    begun.bytes += frame.end - frame.start;
    if (begun.bytes > BLOCK_BYTES || begun.parts.length > BLOCK_FRAMES) {
      throw new ConnectionFault(ERROR.enhanceYourCalm, "a header block beyond the limit");
    }
    begun.parts.push(Buffer.from(frame.bytes.subarray(frame.start, frame.end)));
    if ((frame.flags & FLAG.endHeaders) === 0) return null;
    this.#begun = null;
    const bytes = Buffer.concat(begun.parts);
    const { stream, isLast } = begun;
    return { stream, isLast, bytes, start: 0, end: bytes.length };
  }
}

/** The payload of HEADERS or DATA without Pad Length and padding. */
export function withoutPadding({ type, flags, bytes, start, end }: Frame): { start: number; end: number } {
  if ((flags & FLAG.padded) === 0) return { start, end };
  if (start === end) throw new ConnectionFault(ERROR.frameSize, "a padded frame without Pad Length");
  const padding = bytes[start] ?? 0;
  const rest = end - start - 1;
  const room = type === FRAME.headers && (flags & FLAG.priority) !== 0 ? rest - 5 : rest;
  if (padding > room) throw new ConnectionFault(ERROR.protocol, "padding longer than the payload");
  return { start: start + 1, end: end - padding };
}

/** True for a PRIORITY, or the priority of HEADERS, of a stream on itself (RFC 7540 §5.3.1). */
export function dependsOnItself({ bytes, stream }: Frame, at: number): boolean {
  return (bytes.readUInt32BE(at) & 0x7fffffff) === stream;
}
