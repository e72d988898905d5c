// The headers of one CheckRequest, read lazily out of its bytes. Pure.
import type { RequestHeaders } from "../authz/types.ts";
import { textAt } from "./protobuf.ts";

/** Where a header's value is in the message. `raw`: bytes that were not checked to be UTF-8. */
interface Span {
  readonly start: number;
  readonly end: number;
  readonly raw: boolean;
}

/** Common names by hash: these cost no new string for each request. */
const COMMON = commonNames([
  ...[":authority", ":method", ":path", ":scheme", "accept", "accept-encoding", "accept-language", "authorization"],
  ...["cache-control", "connection", "content-encoding", "content-length", "content-type", "cookie", "forwarded"],
  ...["last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id", "origin", "priority"],
  ...["referer", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "te", "traceparent", "tracestate", "upgrade"],
  ...["user-agent", "via", "x-envoy-attempt-count", "x-envoy-auth-partial-body", "x-envoy-decorator-operation"],
  ...["x-envoy-expected-rq-timeout-ms", "x-envoy-external-address", "x-envoy-internal", "x-forwarded-client-cert"],
  ...["x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip", "x-request-id"],
]);

export const MAX_LINES = 200;

/**
 * Names in lower case. A value is decoded when it is first read: most never are.
 */
export class HeaderTable implements RequestHeaders {
  readonly #message: Buffer;
  readonly #values = new Map<string, Span | string>();
  #repeated: Set<string> | null = null;
  #lines = 0;

  constructor(message: Buffer) {
    this.#message = message;
  }

  /** True once there are more lines than a request may have. */
  get overflow(): boolean {
    return this.#lines > MAX_LINES;
  }

  /** Adds a header of the map form. False if its name is there already. */
  put(name: string, value: Span): boolean {
    this.#lines += 1;
    return this.#values.set(name, value).size === this.#lines;
  }

  /** Adds a header line of the list form; the values of one name are joined by ",", as Envoy does. */
  append(name: string, value: Span): void {
    this.#lines += 1;
    const before = this.get(name);
    if (before === undefined) {
      this.#values.set(name, value);
      return;
    }
    this.#repeated ??= new Set();
    this.#repeated.add(name);
    this.#values.set(name, `${before},${this.#read(value)}`);
  }

  get(name: string): string | undefined {
    const value = this.#values.get(name);
    if (typeof value !== "object") return value;
    const text = this.#read(value);
    this.#values.set(name, text);
    return text;
  }

  repeated(name: string): boolean {
    return this.#repeated?.has(name) ?? false;
  }

  names(): Iterable<string> {
    return this.#values.keys();
  }

  /** Raw bytes as latin1, which keeps each byte: no value with bytes beyond ASCII passes a later check. */
  #read({ start, end, raw }: Span): string {
    return this.#message.toString(raw ? "latin1" : "utf8", start, end);
  }
}

/**
 * The name between these offsets, in lower case. A common name is found by its hash, compared byte for byte, and costs no
 * new string.
 * @throws {WireFault} for a name that is not UTF-8
 */
export function headerName(bytes: Buffer, start: number, end: number): string {
  const known = COMMON.get(nameHash(bytes, start, end));
  if (known?.length === end - start && standsAt(known, bytes, start)) return known;
  const name = textAt(bytes, start, end);
  return /[^\x21-\x40\x5b-\x7e]/.test(name) ? name.toLowerCase() : name;
}

/** A 32-bit hash of a name: its length and four of its bytes. */
function nameHash(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const byte = (at: number) => bytes[start + at] ?? 0;
  const middle = (byte(length >> 1) << 8) | byte(length - 2);
  return (length << 24) ^ (byte(0) << 16) ^ middle ^ (byte(length - 1) << 4);
}

function standsAt(name: string, bytes: Buffer, start: number): boolean {
  for (let i = 0; i < name.length; i += 1) if (bytes[start + i] !== name.charCodeAt(i)) return false;
  return true;
}

function commonNames(names: readonly string[]): ReadonlyMap<number, string> {
  return new Map(names.map((name) => [nameHash(Buffer.from(name), 0, name.length), name]));
}
