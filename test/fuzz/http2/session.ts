// The frames of a client's session, read without the code that is under test. Pure.
import { FLAG, FRAME } from "../../../src/http2/frame.ts";

export interface SessionFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  /** Bytes of the payload as the header says. */
  readonly announced: number;
}

export interface Session {
  readonly frames: readonly SessionFrame[];
  /** The last frame announces more bytes than there are. */
  readonly isCut: boolean;
}

const PREFACE_BYTES = 24;

export function readSession(bytes: Buffer): Session {
  const frames: SessionFrame[] = [];
  let at = PREFACE_BYTES;
  while (at + 9 <= bytes.length) {
    const announced = bytes.readUIntBE(at, 3);
    const end = at + 9 + announced;
    const [type, flags] = [bytes[at + 3] ?? 0, bytes[at + 4] ?? 0];
    const stream = bytes.readUInt32BE(at + 5) & 0x7fffffff;
    frames.push({ type, flags, stream, payload: bytes.subarray(at + 9, end), announced });
    at = end;
  }
  return { frames, isCut: at !== bytes.length };
}

export function framesOf({ frames }: Session, type: number, stream?: number): readonly SessionFrame[] {
  return frames.filter((frame) => frame.type === type && (stream === undefined || frame.stream === stream));
}

/** True for a frame with END_STREAM. */
export function endsStream({ type, flags }: SessionFrame): boolean {
  return (type === FRAME.data || type === FRAME.headers) && (flags & FLAG.endStream) !== 0;
}

/** True where the bodies of the stream's DATA are exactly one gRPC message without compression. */
export function isOneMessage(session: Session, stream: number): boolean {
  const parts = framesOf(session, FRAME.data, stream).map(withoutPadding);
  const body = Buffer.concat(parts);
  return body.length >= 5 && body[0] === 0 && body.readUInt32BE(1) === body.length - 5;
}

function withoutPadding({ flags, payload }: SessionFrame): Buffer {
  return (flags & FLAG.padded) === 0 ? payload : payload.subarray(1, payload.length - (payload[0] ?? 0));
}

/** True where a priority says that the stream depends on itself. */
export function dependsOnItself(session: Session, stream: number): boolean {
  return framesOf(session, FRAME.priority, stream).some(
    ({ payload }) => payload.length >= 4 && (payload.readUInt32BE() & 0x7fffffff) === stream,
  );
}
