// Tells paths that some server could take for an MCP endpoint's, in whatever spelling: those are never one of the host's other
// paths. Pure.

/** The form of an endpoint's path, and what would be below it. */
const FORM = /^\/(?:mcp|sse|servers\/[^/]+\/(?:mcp|sse))(?:\/|$)/;
/** White space, control characters, and what nobody sees. */
const UNSEEN = /[\s\p{C}\p{Default_Ignorable_Code_Point}]/gu;
/** Decoding more often than anybody does: a path with `%25` is refused anyhow. */
const DECODINGS = 3;

/**
 * True for a path that is in the form of an endpoint's, `/mcp`, `/sse`, `/servers/NAME/mcp` and `/servers/NAME/sse` and below, when
 * it is read as somebody may: escapes decoded, compatible letters made one (NFKC), without case, what nobody sees, parameters and
 * suffixes of its segments (`/mcp;v=1`, `/mcp.json`, `/mcp,`), and without empty segments and dots.
 */
export function hasEndpointForm(path: string): boolean {
  const segments = decoded(path).replaceAll("\\", "/").split("/").map(plain);
  return FORM.test(`/${segments.filter((segment) => segment !== "").join("/")}`);
}

function decoded(path: string): string {
  let text = path;
  for (let i = 0; i < DECODINGS && text.includes("%"); i += 1)
    text = text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (escapes) =>
      Buffer.from(escapes.replaceAll("%", ""), "hex").toString("utf8"),
    );
  return text;
}

/** The word that a segment begins with, `*` for another beginning; "" for a segment that means nothing. */
function plain(segment: string): string {
  const text = segment.normalize("NFKC").replaceAll(UNSEEN, "").toLowerCase();
  if (/^\.?$/.test(text)) return "";
  return /^[^\p{L}\p{N}]*([a-z0-9][a-z0-9_-]*)/u.exec(text)?.[1] ?? "*";
}
