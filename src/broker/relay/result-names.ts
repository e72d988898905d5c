// The places of resource URIs in what a server sends: on the merged endpoint they name their server there, too. Pure.
// What is no place of the protocol's, as text and structuredContent, is content and stays.
import { withRules, type TextRule } from "../../json/places.ts";
import { rewrite, RewriteFault } from "../../json/rewriter.ts";

/** Names of members, from the outside; "*" for each item of an array. */
type Path = readonly string[];
/** Maps a server's URI to the one on the endpoint. */
export type MapUri = (uri: string) => string;

/** Of one content block: `resource_link`, or an embedded resource. Its type may stand behind it, and is not asked. */
const block = (...at: Path): Path[] => [
  [...at, "uri"],
  [...at, "resource", "uri"],
];
/** Of a tool's result; MCP Apps name the page in `_meta`. */
const toolResult = (...at: Path): Path[] => [
  ...block(...at, "content", "*"),
  [...at, "_meta", "ui", "resourceUri"],
  [...at, "_meta", "ui/resourceUri"],
  [...at, "_meta", "openai/outputTemplate"],
];
/** Of one block, or of several, and of the tool results in them. */
const blocks = (...at: Path): Path[] =>
  [at, [...at, "*"]].flatMap((each) => [...block(...each), ...block(...each, "content", "*")]);

/** Paths in the result of a method. */
const RESULT_NAMES: ReadonlyMap<string, readonly Path[]> = new Map([
  ["tools/call", toolResult()],
  ["prompts/get", blocks("messages", "*", "content")],
  ["resources/read", [["contents", "*", "uri"]]],
  ["tasks/get", toolResult("result")],
  ["tasks/result", toolResult()],
]);

/** The rules for the URIs in the result of a method. */
export function resultNameRules(method: string, map: MapUri): readonly TextRule[] {
  return (RESULT_NAMES.get(method) ?? []).map((path) => ({ path, map }));
}

export const UPDATED = "notifications/resources/updated";
/** It holds one URI; to read a longer one would hold up other calls. */
export const MAX_UPDATE_BYTES = 64 * 1024;

/** The notification {@link UPDATED} with its URI mapped; null for one that is too long, or names two URIs. */
export function withMappedUpdate(text: Buffer, map: MapUri): Buffer | null {
  if (text.length > MAX_UPDATE_BYTES) return null;
  try {
    return Buffer.concat(rewrite(text, withRules({}, [{ path: ["params", "uri"], map }])));
  } catch (error) {
    if (error instanceof RewriteFault) return null;
    throw error;
  }
}
