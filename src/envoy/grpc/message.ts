// gRPC messages on HTTP/2 streams, for calls of one message each way: framing, trailers, grpc-timeout. Pure.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
import type { Connection } from "../../http2/connection.ts";
import { headerBlock } from "../../http2/hpack-literal.ts";
import type { Stream } from "../../http2/stream.ts";

/** One call: its stream, on its connection. */
export interface Call {
  readonly connection: Connection;
  readonly stream: Stream;
}

/** Compressed-Flag (one byte) and Message-Length (four). */
export const PREFIX_BYTES = 5;
const HEAD_FIELDS = [
  [":status", "200"],
  ["content-type", "application/grpc"],
] as const;
const HEAD: Buffer = headerBlock(HEAD_FIELDS);
const OK_TRAILERS: Buffer = headerBlock([["grpc-status", "0"]]);

/** Status codes: https://grpc.io/docs/guides/status-codes/ */
export const GRPC_STATUS = { notFound: 5, unimplemented: 12 } as const;

/** The message of a body. Null for anything but exactly one uncompressed message. */
export function messageOf(bytes: Buffer | null): Buffer | null {
  if (bytes === null || bytes.length < PREFIX_BYTES || bytes[0] !== 0) return null;
  return bytes.readUInt32BE(1) === bytes.length - PREFIX_BYTES ? bytes.subarray(PREFIX_BYTES) : null;
}

function framed(message: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

/** Begins a response of any number of messages. Does nothing on a closed stream, as all that responds. */
export function openResponse({ connection, stream }: Call): (message: Buffer) => void {
  connection.open(stream, HEAD);
  return (message) => connection.send(stream, framed(message));
}

/** Ends a response that `openResponse` began, with status 0. */
export function closeResponse({ connection, stream }: Call): void {
  connection.close(stream, OK_TRAILERS);
}

/** Sends one message and status 0. */
export function respond({ connection, stream }: Call, message: Buffer): void {
  connection.respond(stream, { head: HEAD, message: framed(message), trailers: OK_TRAILERS });
}

/** Sends a status alone ("Trailers-Only"). @param text ASCII */
export function respondStatus({ connection, stream }: Call, status: number, text: string): void {
  const fields = [...HEAD_FIELDS, ["grpc-status", String(status)], ["grpc-message", text]] as const;
  connection.respondHead(stream, headerBlock(fields));
}

/** Sends an HTTP status, to a client that does not speak gRPC. */
export function respondHttp({ connection, stream }: Call, status: number): void {
  connection.respondHead(stream, headerBlock([[":status", String(status)]]));
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a `grpc-timeout` header: Infinity without one, 0 for a malformed one. */
export function parseTimeout(header: string | undefined): number {
  if (header === undefined) return Infinity;
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  return Number(digits ?? 0) * (UNIT_MS[unit ?? ""] ?? 0);
}
