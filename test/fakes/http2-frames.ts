// Frames of an HTTP/2 client, right and wrong ones, and what a server wrote, read back. For tests of src/http2.
import { headerBlock } from "../../src/http2/hpack-literal.ts";
import { FLAG, FRAME, PREFACE, writeHeader } from "../../src/http2/frame.ts";

export interface FrameParts {
  readonly type: number;
  readonly flags?: number;
  readonly stream?: number;
  readonly payload?: Buffer;
}

export function frame({ type, flags = 0, stream = 0, payload = Buffer.alloc(0) }: FrameParts): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  payload.copy(bytes, writeHeader(bytes, 0, { length: payload.length, type, flags, stream }));
  return bytes;
}

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};

export const POST = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "a"],
] as const;

export const settings = (...pairs: readonly (readonly [number, number])[]) =>
  frame({
    type: FRAME.settings,
    payload: Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.from([id >>> 8, id]), uint32(value)]))),
  });

/** A client's first words. */
export const HELLO: Buffer = Buffer.concat([PREFACE, settings()]);

export const headers = (
  stream: number,
  fields: readonly (readonly [string, string])[] = POST,
  flags: number = FLAG.endHeaders,
) => frame({ type: FRAME.headers, flags, stream, payload: headerBlock(fields) });

export const data = (stream: number, text: string | Buffer = "", flags: number = FLAG.endStream) =>
  frame({ type: FRAME.data, flags, stream, payload: Buffer.from(text) });

export const reset = (stream: number, code = 8) => frame({ type: FRAME.rstStream, stream, payload: uint32(code) });
export const window = (stream: number, bytes: number) =>
  frame({ type: FRAME.windowUpdate, stream, payload: uint32(bytes) });

/** What a server wrote: one line a frame, such as `headers 1 end`, `data 1 11`, `rst 1 8`, `goaway 0 1`. */
export function lines(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUIntBE(at, 3);
    const [type, flags] = [bytes[at + 3] ?? 0, bytes[at + 4] ?? 0];
    found.push(
      line(type, flags, { stream: bytes.readUInt32BE(at + 5), payload: bytes.subarray(at + 9, at + 9 + length) }),
    );
    at += 9 + length;
  }
  return found;
}

function line(type: number, flags: number, { stream, payload }: { stream: number; payload: Buffer }): string {
  const end = (flags & FLAG.endStream) !== 0 ? " end" : "";
  const ack = (flags & FLAG.ack) !== 0 ? " ack" : "";
  if (type === FRAME.headers) return `headers ${stream}${end}`;
  if (type === FRAME.data) return `data ${stream} ${payload.length}${end}`;
  if (type === FRAME.rstStream) return `rst ${stream} ${payload.readUInt32BE()}`;
  if (type === FRAME.goAway) return `goaway ${payload.readUInt32BE()} ${payload.readUInt32BE(4)}`;
  if (type === FRAME.windowUpdate) return `window ${stream} ${payload.readUInt32BE()}`;
  if (type === FRAME.settings) return `settings${ack}`;
  return type === FRAME.ping ? `ping${ack}` : `type ${type}`;
}
