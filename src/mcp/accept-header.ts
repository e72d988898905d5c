// Reads the Accept header (RFC 9110 §12.5.1). Pure.

/** The media types of a response that a client accepts. */
export interface Accepts {
  readonly json: boolean;
  readonly stream: boolean;
}

/** The value that every MCP client must send, as nearly all write it. */
const USUAL = "application/json, text/event-stream";

/** As far as it tells our two media types apart. Without the header both are accepted. */
export function acceptsOf(header: string | undefined): Accepts {
  if (header === undefined || header === USUAL || header.trim() === "") return { json: true, stream: true };
  const ranges = header
    .toLowerCase()
    .split(",")
    .map((range) => range.trim())
    .filter((range) => !/;\s*q\s*=\s*0(?:\.0{0,3})?\s*(?:;|$)/.test(range))
    .map((range) => range.split(";")[0]?.trim());
  const takes = (type: string, subtype: string) =>
    ranges.some((range) => range === `${type}/${subtype}` || range === `${type}/*` || range === "*/*");
  const stream = takes("text", "event-stream");
  // A client that accepts neither gets JSON, as every refusal is.
  return { json: takes("application", "json") || !stream, stream };
}

/** The same in its usual form: no other text of a client's reaches a server. */
export function acceptedMedia(header: string | undefined): string {
  const { json, stream } = acceptsOf(header);
  if (json && stream) return USUAL;
  return json ? "application/json" : "text/event-stream";
}
