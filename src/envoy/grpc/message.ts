import { constants, type ServerHttp2Stream } from "node:http2";
import { createByteCollector } from "../../http/byte-collector.ts";

// gRPC over HTTP/2, as far as calls of one message each way need it:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

/** Compressed-Flag (one byte) and Message-Length (four). */
const PREFIX_BYTES = 5;
/** The answer goes first: a reset that comes with it would take its status along. */
const LAST_WORDS_MS = 500;
const HEADERS = { ":status": 200, "content-type": "application/grpc" };
const WITH_TRAILERS = { waitForTrailers: true, sendDate: false };
const WITHOUT_BODY = { endStream: true, sendDate: false };
const OK = { "grpc-status": "0" };

/** Status codes: https://grpc.io/docs/guides/status-codes/ */
export const GRPC_STATUS = { notFound: 5, unimplemented: 12 } as const;

export interface ReadLimits {
  readonly maxBytes: number;
  /** Until when the whole message must be here, from now. */
  readonly patienceMs: number;
}

/**
 * Reads the one message of a call. @param done is told once: null for what is not exactly one message, uncompressed and
 * within the limits; never, if the client leaves before
 */
export function readMessage(
  stream: ServerHttp2Stream,
  { maxBytes, patienceMs }: ReadLimits,
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
    if (isThere(stream)) finish(null);
  }, patienceMs);
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

/** Opens the answer: any number of messages, then status 0. Nothing, if the client is gone. */
export function openAnswer(stream: ServerHttp2Stream): (message: Buffer) => void {
  if (!isThere(stream)) return () => {};
  stream.respond(HEADERS, WITH_TRAILERS);
  stream.on("wantTrailers", sendOk);
  return (message) => void stream.write(framed(message));
}

/** Answers with one message and status 0. */
export function answer(stream: ServerHttp2Stream, message: Buffer): void {
  if (!isThere(stream)) return;
  stream.respond(HEADERS, WITH_TRAILERS);
  stream.on("wantTrailers", sendOk);
  stream.end(framed(message));
}

function sendOk(this: ServerHttp2Stream): void {
  this.sendTrailers(OK);
  endRequest(this);
}

/** Answers with a status alone ("Trailers-Only"). @param text ASCII */
export function answerStatus(stream: ServerHttp2Stream, status: number, text: string): void {
  if (!isThere(stream)) return;
  stream.respond({ ...HEADERS, "grpc-status": String(status), "grpc-message": text }, WITHOUT_BODY);
  endRequest(stream);
}

/** For a client that does not speak gRPC. */
export function answerHttp(stream: ServerHttp2Stream, status: number): void {
  if (!isThere(stream)) return;
  stream.respond({ ":status": status }, WITHOUT_BODY);
  endRequest(stream);
}

/** Behind the answer: what still comes is dropped, and who does not end is told to stop (RFC 9113 §8.1). */
function endRequest(stream: ServerHttp2Stream): void {
  if (stream.readableEnded) return;
  stream.resume();
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), LAST_WORDS_MS);
  stream.on("close", () => clearTimeout(timer));
}

export function isThere(stream: ServerHttp2Stream): boolean {
  return !stream.destroyed && !stream.closed;
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a `grpc-timeout`: Infinity without one, 0 for one that nobody can read. */
export function timeoutMs(header: string | undefined): number {
  if (header === undefined) return Infinity;
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  return Number(digits ?? 0) * (UNIT_MS[unit ?? ""] ?? 0);
}
