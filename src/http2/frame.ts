// The layout of HTTP/2 frames (RFC 9113 §4.1 and §6), and the frames that a server writes. Pure.
import type { ErrorCode } from "./fault.ts";

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
  noRfc7540Priorities: 9,
} as const;

export const HEADER_BYTES = 9;
/** The longest payload that we take, and the shortest limit that a peer may have (SETTINGS_MAX_FRAME_SIZE). */
export const FRAME_BYTES = 16_384;
export const MAX_WINDOW = 0x7fffffff;
/** The window of streams and of the connection before any SETTINGS (RFC 9113 §6.9.2). */
export const DEFAULT_WINDOW = 65_535;
export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** One frame as it came: the payload is `bytes` from `start` to `end`. The object is used again for the next frame. */
export interface Frame {
  type: number;
  flags: number;
  stream: number;
  bytes: Buffer;
  start: number;
  end: number;
}

/** Writes a frame header. @returns the place behind it */
export function writeHeader(
  to: Buffer,
  at: number,
  { length, type, flags, stream }: { length: number; type: number; flags: number; stream: number },
): number {
  to[at] = length >>> 16;
  to[at + 1] = length >>> 8;
  to[at + 2] = length;
  to[at + 3] = type;
  to[at + 4] = flags;
  to.writeUInt32BE(stream, at + 5);
  return at + HEADER_BYTES;
}

interface Kind {
  readonly type: number;
  readonly flags?: number;
  readonly stream?: number;
}

function frame({ type, flags = 0, stream = 0 }: Kind, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  const at = writeHeader(bytes, 0, { length: payload.length, type, flags, stream });
  bytes.set(payload, at);
  return bytes;
}

function uint32s(...values: number[]): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4);
  return bytes;
}

/** @param settings pairs of an identifier and its value */
export function settingsFrame(settings: readonly (readonly [number, number])[]): Buffer {
  const payload = Buffer.allocUnsafe(settings.length * 6);
  for (const [index, [id, value]] of settings.entries()) {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  }
  return frame({ type: FRAME.settings }, payload);
}

export const SETTINGS_ACK: Buffer = frame({ type: FRAME.settings, flags: FLAG.ack }, Buffer.alloc(0));

/** @param opaque the eight bytes of the PING */
export function pingAck(opaque: Buffer): Buffer {
  return frame({ type: FRAME.ping, flags: FLAG.ack }, opaque);
}

/** @param opaque eight bytes, by which its acknowledgement is known */
export function pingFrame(opaque: Buffer): Buffer {
  return frame({ type: FRAME.ping }, opaque);
}

export function goAwayFrame(lastStream: number, code: ErrorCode): Buffer {
  return frame({ type: FRAME.goAway }, uint32s(lastStream, code));
}

export function rstStreamFrame(stream: number, code: ErrorCode): Buffer {
  return frame({ type: FRAME.rstStream, stream }, uint32s(code));
}

export function windowUpdateFrame(stream: number, bytes: number): Buffer {
  return frame({ type: FRAME.windowUpdate, stream }, uint32s(bytes));
}

/** A header block in one HEADERS frame: ours are far below the length of a frame. */
export function headersFrame(stream: number, block: Buffer, isLast: boolean): Buffer {
  const flags = FLAG.endHeaders | (isLast ? FLAG.endStream : 0);
  return frame({ type: FRAME.headers, flags, stream }, block);
}
