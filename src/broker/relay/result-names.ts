// The places of resource URIs in what a server sends: on the merged endpoint they name their server there, too. Pure.
// What is no place of the protocol's, as text and structuredContent, is content and stays.
import { HttpFault } from "../../http/client.ts";
import { withRules, type TextRule } from "../../json/places.ts";
import { rewrite, RewriteFault } from "../../json/rewriter.ts";

/** Names of members, from the outside; "*" for each item of an array. */
export type Path = readonly string[];
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
/** Of one block, or of several (`sampling/createMessage` since 2025-11-25), and of the tool results in them. */
const blocks = (...at: Path): Path[] =>
  [at, [...at, "*"]].flatMap((each) => [...block(...each), ...block(...each, "content", "*")]);

/** Paths in the result of a method. */
export const RESULT_NAMES: ReadonlyMap<string, readonly Path[]> = new Map([
  ["tools/call", toolResult()],
  ["prompts/get", blocks("messages", "*", "content")],
  ["resources/read", [["contents", "*", "uri"]]],
  ["tasks/get", toolResult("result")],
  ["tasks/result", toolResult()],
]);

/** Paths in the params of a server's notification or request. */
export const PARAMS_NAMES: ReadonlyMap<string, readonly Path[]> = new Map([
  ["notifications/resources/updated", [["uri"]]],
  ["sampling/createMessage", blocks("messages", "*", "content")],
]);

/** The rules for the URIs in the result of a method. */
export function resultNameRules(method: string, map: MapUri): readonly TextRule[] {
  return (RESULT_NAMES.get(method) ?? []).map((path) => ({ path, map }));
}

/**
 * A server's notification or request with its URIs mapped; the same bytes if it has none.
 * @throws {HttpFault} for an object with two members of one name: its readers may see another URI than the one that was mapped
 */
export function withMappedParams(text: Buffer, method: string, map: MapUri): Buffer {
  const paths = PARAMS_NAMES.get(method);
  if (paths === undefined) return text;
  const rules = paths.map((path) => ({ path: ["params", ...path], map }));
  try {
    return Buffer.concat(rewrite(text, withRules({}, rules)));
  } catch (error) {
    throw error instanceof RewriteFault ? new HttpFault("not_an_answer") : error;
  }
}
