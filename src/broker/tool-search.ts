// The answer to `search_tools`: the visible tools that fit a query best, in an order that depends on nothing else. Pure; works
// in slices, so that requests run in between.
import { createSlices } from "../async/slices.ts";
import type { JsonObject } from "../json/types.ts";
import { parseJson } from "../json/parse.ts";
import type { ToolSearch } from "../mcp/operation.ts";
import type { ListEntry } from "./catalog/definitions.ts";

/** A tool as it is searched, in lower case. */
interface SearchText {
  readonly name: string;
  /** The parts of its name between other characters than letters and digits. */
  readonly words: ReadonlySet<string>;
  /** Title, and the beginning of the description. */
  readonly text: string;
}

/** Code units of a description that are searched: all definitions of a server are some megabytes. */
const SEARCHED_DESCRIPTION = 1024;
const MAX_TERMS = 16;
const MAX_ANSWER_LENGTH = 512 * 1024;
const BETWEEN_WORDS = /[^\p{L}\p{N}]+/u;
/** Points for a term; each further term of the query that a tool has counts more than any place of one. */
const POINTS = { term: 16, word: 8, name: 4, text: 1 };

/** Entries do not change: what is made of one is kept as long as it is. */
const texts = new WeakMap<ListEntry, SearchText>();

/**
 * The members of the result of a search, as JSON text.
 * @param tools what the caller may see, in the order of her list; each with its definition on this endpoint
 */
export async function searchTools(tools: readonly ListEntry[], { query, limit }: ToolSearch): Promise<string> {
  const terms = [...new Set(wordsOf(query))].slice(0, MAX_TERMS);
  const { spend } = createSlices();
  // Only the first search after a listing reads definitions.
  for (const tool of tools) {
    await spend(texts.has(tool) ? SEARCHED_DESCRIPTION : (tool.merged?.length ?? 0));
    textOf(tool);
  }
  const found = tools
    .map((tool, place) => ({ tool, place, points: pointsOf(textOf(tool), terms) }))
    .filter(({ points }) => terms.length === 0 || points > 0)
    .sort((a, b) => b.points - a.points || a.place - b.place);
  const shown = definitionsOf(found.slice(0, limit).map(({ tool }) => tool));
  const structuredContent = { tools: shown, matches: found.length };
  const result = { content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent };
  return JSON.stringify(result).slice(1, -1);
}

/** The answer's part of each, and at least of the first, up to {@link MAX_ANSWER_LENGTH}. */
function definitionsOf(tools: readonly ListEntry[]): JsonObject[] {
  const shown: JsonObject[] = [];
  let length = 0;
  for (const tool of tools) {
    length += tool.merged?.length ?? 0;
    if (shown.length > 0 && length > MAX_ANSWER_LENGTH) break;
    const { name = null, description, inputSchema = {} } = definitionOf(tool);
    shown.push({ name, ...(description !== undefined && { description }), inputSchema });
  }
  return shown;
}

function wordsOf(text: string): string[] {
  return text
    .toLowerCase()
    .split(BETWEEN_WORDS)
    .filter((word) => word !== "");
}

function definitionOf({ merged }: ListEntry): JsonObject {
  return parseJson(merged ?? "{}") as JsonObject;
}

function textOf(tool: ListEntry): SearchText {
  const known = texts.get(tool);
  if (known !== undefined) return known;
  const { name, title, description } = definitionOf(tool);
  const textIn = (value: unknown) => (typeof value === "string" ? value.slice(0, SEARCHED_DESCRIPTION) : "");
  const made = {
    name: textIn(name).toLowerCase(),
    words: new Set(wordsOf(textIn(name))),
    text: `${textIn(title)}\n${textIn(description)}`.toLowerCase(),
  };
  texts.set(tool, made);
  return made;
}

function pointsOf({ name, words, text }: SearchText, terms: readonly string[]): number {
  let points = 0;
  for (const term of terms) {
    const place = words.has(term)
      ? POINTS.word
      : name.includes(term)
        ? POINTS.name
        : text.includes(term)
          ? POINTS.text
          : 0;
    if (place > 0) points += POINTS.term + place;
  }
  return points;
}
