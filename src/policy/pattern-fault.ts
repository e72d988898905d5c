// Which value of the author's data `mcp_authz.matches` could not take for patterns: Rego says that one was there, and not which. Pure.
import type { JsonValue } from "../json/types.ts";

type Key = string | number;
type Path = readonly Key[];
interface Place {
  readonly path: Path;
  readonly value: JsonValue;
  /** What is likelier comes first: a list that holds something else than texts, then a single value, then an object. */
  readonly rank: number;
}

const MAX_PLACES = 4096;

/** True if the engine ended an evaluation because of patterns that are neither a text nor a list of texts. */
export function isPatternFault(thrown: unknown): boolean {
  return typeof thrown === "string" && thrown.startsWith("mcp_authz/matching.rego:");
}

/**
 * Finds the value by asking again with data in which some of what is no pattern is an empty list: in a dozen evaluations,
 * whatever the rules say and from wherever they have the value.
 * @param faults true if the evaluation ends the same way with this data
 * @returns words for the audit line and `why`, with keys of the data and no values
 */
export function findPatternFault(data: object, faults: (data: object) => boolean): string {
  const wants = "mcp_authz.matches takes a text or a list of texts";
  const places = placesIn(data as JsonValue);
  const without = (count: number) => replaced(data as JsonValue, new Set(places.slice(0, count).map(idOf))) as object;
  if (places.length > MAX_PLACES || faults(without(places.length))) return `patterns are of another form: ${wants}`;
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (faults(without(middle))) low = middle + 1;
    else high = middle;
  }
  const found = places[low - 1];
  return found === undefined ? `patterns are of another form: ${wants}` : `${saidOf(found)}: ${wants}`;
}

/** All values but the root that are no patterns, each after what it holds. */
function placesIn(root: JsonValue): Place[] {
  const places: Place[] = [];
  const walk = (value: JsonValue, path: Path) => {
    if (places.length > MAX_PLACES) return;
    const isNode = typeof value === "object" && value !== null;
    if (isNode) for (const [key, inner] of entriesOf(value)) walk(inner, [...path, key]);
    if (path.length > 0 && !isPatterns(value)) places.push({ path, value, rank: rankOf(value) });
  };
  walk(root, []);
  return places.toSorted((a, b) => a.rank - b.rank);
}

function entriesOf(node: object): [Key, JsonValue][] {
  return Array.isArray(node) ? [...(node as JsonValue[]).entries()] : (Object.entries(node) as [string, JsonValue][]);
}

function isPatterns(value: JsonValue): boolean {
  return typeof value === "string" || (Array.isArray(value) && value.every((item) => typeof item === "string"));
}

function rankOf(value: JsonValue): number {
  if (Array.isArray(value)) return 0;
  return typeof value === "object" && value !== null ? 2 : 1;
}

function idOf({ path }: Pick<Place, "path">): string {
  return JSON.stringify(path);
}

function replaced(value: JsonValue, ids: ReadonlySet<string>, path: Path = []): JsonValue {
  if (ids.has(idOf({ path }))) return [];
  if (typeof value !== "object" || value === null) return value;
  const entries = entriesOf(value).map(([key, inner]) => [key, replaced(inner, ids, [...path, key])] as const);
  return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
}

function saidOf({ path, value }: Place): string {
  if (!Array.isArray(value)) return `${placeOf(path)} is ${typeOf(value)}`;
  const at = value.findIndex((item) => typeof item !== "string");
  return `${placeOf([...path, at])} is ${typeOf((value as readonly JsonValue[])[at] ?? null)}`;
}

/** As Rego spells it. */
function placeOf(path: Path): string {
  return path.reduce<string>(
    (at, key) =>
      typeof key === "string" && /^[A-Za-z_]\w*$/.test(key) ? `${at}.${key}` : `${at}[${JSON.stringify(key)}]`,
    "data",
  );
}

function typeOf(value: JsonValue): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
