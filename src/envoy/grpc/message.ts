// gRPC messages on a server HTTP/2 stream, for calls of one message each way: framing, trailers, grpc-timeout. I/O.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
import { constants, type ServerHttp2Stream } from "node:http2";
import { createByteCollector } from "../../http/byte-collector.ts";

/** Compressed-Flag (one byte) and Message-Length (four). */
const PREFIX_BYTES = 5;
/** Grace before RST_STREAM: an earlier reset would discard the response still in flight. */
const FLUSH_GRACE_MS = 500;
const HEADERS = { ":status": 200, "content-type": "application/grpc" };
const WITH_TRAILERS = { waitForTrailers: true, sendDate: false };
const WITHOUT_BODY = { endStream: true, sendDate: false };
const OK = { "grpc-status": "0" };

/** Status codes: https://grpc.io/docs/guides/status-codes/ */
export const GRPC_STATUS = { notFound: 5, unimplemented: 12 } as const;

export interface ReadLimits {
  readonly maxBytes: number;
  /** Time for the whole message to arrive. */
  readonly timeoutMs: number;
}

/**
 * Reads the one message of a call. @param done is called once, with null for anything but exactly one uncompressed
 * message within the limits; not at all if the stream ends before
 */
export function readMessage(
  stream: ServerHttp2Stream,
  { maxBytes, timeoutMs }: ReadLimits,
  done: (message: Buffer | null) => void,
): void {
  const bytes = createByteCollector(maxBytes + PREFIX_BYTES);
  let isOver = false;
  const finish = (message: Buffer | null) => {
    isOver = true;
    clearTimeout(timer);
    done(message);
  };
  const timer = setTimeout(() => {
    if (isOpen(stream)) finish(null);
  }, timeoutMs);
  stream.on("data", (part: Buffer) => {
    if (isOver) return;
    if (bytes.length + part.length > maxBytes + PREFIX_BYTES) finish(null);
    else bytes.push(part);
  });
  stream.on("end", () => {
    if (!isOver) finish(messageOf(bytes.take()));
  });
}

function messageOf(bytes: Buffer): Buffer | null {
  if (bytes.length < PREFIX_BYTES || bytes[0] !== 0) return null;
  return bytes.readUInt32BE(1) === bytes.length - PREFIX_BYTES ? bytes.subarray(PREFIX_BYTES) : null;
}

function framed(message: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

/** Begins a response of any number of messages, with status 0 at its end. Does nothing on a closed stream. */
export function openResponse(stream: ServerHttp2Stream): (message: Buffer) => void {
  if (!isOpen(stream)) return () => {};
  stream.respond(HEADERS, WITH_TRAILERS);
  stream.on("wantTrailers", sendOk);
  return (message) => void stream.write(framed(message));
}

/** Sends one message and status 0. */
export function respond(stream: ServerHttp2Stream, message: Buffer): void {
  if (!isOpen(stream)) return;
  stream.respond(HEADERS, WITH_TRAILERS);
  stream.on("wantTrailers", sendOk);
  stream.end(framed(message));
}

function sendOk(this: ServerHttp2Stream): void {
  this.sendTrailers(OK);
  endRequest(this);
}

/** Sends a status alone ("Trailers-Only"). @param text ASCII */
export function respondStatus(stream: ServerHttp2Stream, status: number, text: string): void {
  if (!isOpen(stream)) return;
  stream.respond({ ...HEADERS, "grpc-status": String(status), "grpc-message": text }, WITHOUT_BODY);
  endRequest(stream);
}

/** Sends an HTTP status, to a client that does not speak gRPC. */
export function respondHttp(stream: ServerHttp2Stream, status: number): void {
  if (!isOpen(stream)) return;
  stream.respond({ ":status": status }, WITHOUT_BODY);
  endRequest(stream);
}

/** After the response: discards what still arrives; RST_STREAM if the client does not end its side (RFC 9113 §8.1). */
function endRequest(stream: ServerHttp2Stream): void {
  if (stream.readableEnded) return;
  stream.resume();
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), FLUSH_GRACE_MS);
  stream.on("close", () => clearTimeout(timer));
}

export function isOpen(stream: ServerHttp2Stream): boolean {
  return !stream.destroyed && !stream.closed;
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a `grpc-timeout` header: Infinity without one, 0 for a malformed one. */
export function parseTimeout(header: string | undefined): number {
  if (header === undefined) return Infinity;
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  return Number(digits ?? 0) * (UNIT_MS[unit ?? ""] ?? 0);
}
