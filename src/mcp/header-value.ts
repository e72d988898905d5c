const SENTINEL = /^=\?base64\?.*\?=$/;
/** RFC 9110 §5.5 without obs-text, and without spaces that a parser takes off. */
const PLAIN = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;

/**
 * A value as `Mcp-Name` and `Mcp-Param-*` carry it: plain where a header can hold it, else in the Base64 sentinel (MCP
 * 2026-07-28, Value Encoding). What looks like a sentinel is encoded too, or it would be decoded.
 */
export function encodeHeaderValue(value: string): string {
  if (PLAIN.test(value) && !SENTINEL.test(value)) return value;
  return `=?base64?${Buffer.from(value).toString("base64")}?=`;
}
