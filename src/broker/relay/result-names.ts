// The places of resource URIs in what a server sends: on the merged endpoint they name their server there, too. Pure.
// What is no place of the protocol's, as text and structuredContent, is content and stays.
import { HttpFault } from "../../http/client.ts";
import {
  atOnce,
  looseInnerObjectSpanIn,
  looseItemsIn,
  readObjectSpan,
  splice,
  type Edit,
  type ObjectSpan,
  type Span,
} from "../../json/spans.ts";
import { foldName } from "../../json/strict-name.ts";

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

/** For an object with two members of one name: its readers may see another URI than the one that was mapped. */
const ambiguous = () => new HttpFault("not_an_answer");

/** The method of a result, and how its URIs are mapped. */
export interface NamedResult {
  readonly method: string;
  readonly map: MapUri;
}

/** The edits of a result. @param result its place in `text` @throws {HttpFault} */
export function resultNameEdits(text: Buffer, result: ObjectSpan, { method, map }: NamedResult): Edit[] {
  const paths = RESULT_NAMES.get(method);
  return paths === undefined ? [] : membersOf({ text, map, edits: [] }, result, paths);
}

/** A server's notification or request with its URIs mapped; the same bytes if it has none. @throws {HttpFault} */
export function withMappedParams(text: Buffer, method: string, map: MapUri): Buffer {
  const paths = PARAMS_NAMES.get(method);
  const params = paths === undefined ? undefined : readObjectSpan(text)?.members.get("params");
  if (paths === undefined || params === undefined) return text;
  const walk: Walk = { text, map, edits: [] };
  visit(walk, params, paths);
  return walk.edits.length === 0 ? text : splice(text, walk.edits);
}

interface Walk {
  readonly text: Buffer;
  readonly map: MapUri;
  readonly edits: Edit[];
}

/** Tolerant readers take a member of another case for the protocol's, so that it is mapped as well. */
function membersOf(walk: Walk, { members }: ObjectSpan, paths: readonly Path[]): Edit[] {
  const named = new Map<string, Path[]>();
  for (const [step = "", ...rest] of paths) {
    const folded = foldName(step);
    named.set(folded, [...(named.get(folded) ?? []), rest]);
  }
  for (const [name, span] of members) visit(walk, span, named.get(foldName(name)) ?? []);
  return walk.edits;
}

const QUOTE = 0x22;
const OPEN_ARRAY = 0x5b;
const OPEN_OBJECT = 0x7b;

/** Edits the value if a path ends here, else goes on into it. A value of another type has no URI. */
function visit(walk: Walk, span: Span, paths: readonly Path[]): void {
  if (paths.length === 0) return;
  const { text } = walk;
  const first = text[span.start];
  if (first === QUOTE) editUri(walk, span, paths);
  else if (first === OPEN_OBJECT) {
    const object = atOnce(looseInnerObjectSpanIn(text, span));
    if (object === null) throw ambiguous();
    membersOf(walk, object, paths);
  } else if (first === OPEN_ARRAY) visitItems(walk, span, paths);
}

function editUri({ text, map, edits }: Walk, span: Span, paths: readonly Path[]): void {
  if (!paths.some((path) => path.length === 0)) return;
  const uri = JSON.parse(text.toString("utf8", span.start, span.end)) as string;
  edits.push({ start: span.start, end: span.end, text: JSON.stringify(map(uri)) });
}

function visitItems(walk: Walk, span: Span, paths: readonly Path[]): void {
  const inner = paths.filter(([step]) => step === "*").map(([, ...rest]) => rest);
  if (inner.length === 0) return;
  const items = looseItemsIn(walk.text, span, (item) => {
    const start = item.byteOffset - walk.text.byteOffset;
    visit(walk, { start, end: start + item.length }, inner);
  });
  if (atOnce(items) === null) throw ambiguous();
}
