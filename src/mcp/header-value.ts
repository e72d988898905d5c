const SENTINEL = /^=\?base64\?.*\?=$/;
/** RFC 9110 §5.5 without obs-text, and without spaces that a parser takes off. */
const PLAIN = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;

/**
 * A header's value, or a part of it, without the spaces around it (RFC 9110 §5.6.3). No pattern does this in one pass: it
 * begins anew at each space of a run that is not the last.
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
 * A value as `Mcp-Name` and `Mcp-Param-*` carry it: plain where a header can hold it, else in the Base64 sentinel (MCP
 * 2026-07-28, Value Encoding). What looks like a sentinel is encoded too, or it would be decoded.
 */
export function encodeHeaderValue(value: string): string {
  if (PLAIN.test(value) && !SENTINEL.test(value)) return value;
  return `=?base64?${Buffer.from(value).toString("base64")}?=`;
}
