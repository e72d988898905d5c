// Values of headers: optional whitespace (RFC 9110 §5.6.3), and the encoding of `Mcp-Name` and `Mcp-Param-*`. Pure.
import { isUtf8 } from "node:buffer";

const SENTINEL = /^=\?base64\?(.*)\?=$/;
/** RFC 9110 §5.5 without obs-text, and without outer whitespace, which a parser removes. */
const PLAIN = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;

/** Decodes a value as a server does: the Base64 sentinel strictly, null if it is not canonical UTF-8; any other as it is. */
export function decodeHeaderValue(value: string): string | null {
  const encoded = SENTINEL.exec(value)?.[1];
  if (encoded === undefined) return value;
  const bytes = Buffer.from(encoded, "base64");
  return bytes.toString("base64") === encoded && isUtf8(bytes) ? bytes.toString("utf8") : null;
}

/**
 * Removes the optional whitespace around a header value or a part of one. A loop, because a regular expression is quadratic:
 * it begins again at each space of an inner run.
 */
export function trimSpace(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isSpace(value.charCodeAt(start))) start += 1;
  while (end > start && isSpace(value.charCodeAt(end - 1))) end -= 1;
  return value.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/**
 * Encodes a value for `Mcp-Name` or `Mcp-Param-*`: plain where a header can hold it, else as a Base64 sentinel (MCP
 * 2026-07-28, Value Encoding). A plain value that looks like a sentinel is encoded too, or a server would decode it.
 */
export function encodeHeaderValue(value: string): string {
  if (PLAIN.test(value) && !SENTINEL.test(value)) return value;
  return `=?base64?${Buffer.from(value).toString("base64")}?=`;
}
