// The header fields of a generated session: an HPACK reader as small as the generator's own blocks allow. Pure.
import { FLAG, FRAME } from "../../../src/http2/frame.ts";
import { HpackDecoder } from "../../../src/http2/hpack-decoder.ts";
import type { Session, SessionFrame } from "./session.ts";

type FieldPair = readonly [string, string];

/** The fields of the stream's header blocks, or null where the blocks of the session cannot be read. */
export function fieldsOf({ frames }: Session, stream: number): readonly FieldPair[] | null {
  return new FrameFields(frames).of(stream);
}

class FrameFields {
  readonly #byStream = new Map<number, FieldPair[]>();

  constructor(frames: readonly SessionFrame[]) {
    const hpack = new HpackDecoder();
    let block: Buffer[] = [];
    for (const { type, flags, stream, payload } of frames) {
      if (type !== FRAME.headers && type !== FRAME.continuation) continue;
      block.push(type === FRAME.headers ? fragment(flags, payload) : payload);
      if ((flags & FLAG.endHeaders) === 0) continue;
      const bytes = Buffer.concat(block);
      block = [];
      if (!this.#read(hpack, bytes, stream)) return;
    }
  }

  of(stream: number): readonly FieldPair[] | null {
    return this.#byStream.get(stream) ?? null;
  }

  #read(hpack: HpackDecoder, bytes: Buffer, stream: number): boolean {
    const fields = this.#byStream.get(stream) ?? [];
    this.#byStream.set(stream, fields);
    try {
      hpack.decode(bytes, { start: 0, end: bytes.length }, ({ name, value }) => fields.push([name, value]));
      return true;
    } catch {
      return false;
    }
  }
}

function fragment(flags: number, payload: Buffer): Buffer {
  const isPadded = (flags & FLAG.padded) !== 0;
  const start = (isPadded ? 1 : 0) + ((flags & FLAG.priority) !== 0 ? 5 : 0);
  return payload.subarray(start, payload.length - (isPadded ? (payload[0] ?? 0) : 0));
}
