/** The forms of an answer that a client takes. */
export interface Accepts {
  readonly json: boolean;
  readonly stream: boolean;
}

/** What every MCP client must send, as nearly all write it. */
const USUAL = "application/json, text/event-stream";

/** RFC 9110 §12.5.1, as far as it tells our two forms apart. Without the header anything will do. */
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
  // Who takes neither is told in JSON, as in every refusal.
  return { json: takes("application", "json") || !stream, stream };
}
