// Which value of the author's data a function of the library could not take (patterns, times, weekdays, dates): Rego says that
// one was there, and not which. Pure.
import type { JsonValue } from "../json/types.ts";

type Key = string | number;
type Path = readonly Key[];
interface Place {
  readonly path: Path;
  readonly value: JsonValue;
  /** What is likelier comes first. */
  readonly rank: number;
}

const MAX_PLACES = 4096;

/** What a function of the library takes. */
export interface ArgumentKind {
  /** Where the function ends an evaluation. */
  readonly file: string;
  readonly fits: (value: JsonValue) => boolean;
  /** Takes the place of a value that does not fit. */
  readonly standIn: JsonValue;
  readonly rank: (value: JsonValue) => number;
  /** For people. */
  readonly wants: string;
}

const isText = (value: JsonValue) => typeof value === "string";
const isTextOf = (form: RegExp) => (value: JsonValue) => typeof value === "string" && form.test(value);
const isListOf = (fits: (value: JsonValue) => boolean) => (value: JsonValue) =>
  fits(value) || (Array.isArray(value) && (value as JsonValue[]).every(fits));
const isNode = (value: JsonValue) => typeof value === "object" && value !== null;

/** What looks like it, then what is no text at all, then an object, then all other texts: without those, other rules answer otherwise. */
const looksLike = (like: RegExp) => (value: JsonValue) => {
  const texts = (Array.isArray(value) ? (value as JsonValue[]) : [value]).filter(isText);
  if (texts.length > 0) return texts.some((text) => like.test(text)) ? 0 : 3;
  return isNode(value) ? 2 : 1;
};

/** A list that holds something else than texts, then a single value, then an object. */
const rankOfPatterns = (value: JsonValue) => (Array.isArray(value) ? 0 : isNode(value) ? 2 : 1);

const WEEKDAY = /^(?:mon|tues|wednes|thurs|fri|satur|sun)day$/;
const KINDS: readonly ArgumentKind[] = [
  {
    file: "matching.rego",
    fits: isListOf(isText),
    standIn: [],
    rank: rankOfPatterns,
    wants: "mcp_authz.matches takes a text or a list of texts",
  },
  {
    file: "clock.rego",
    fits: isTextOf(/^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/),
    standIn: "00:00",
    rank: looksLike(/^\s*\d{1,2}(?:[:.h]?\d{2})*\s*(?:[ap]m)?\s*$/i),
    wants: 'mcp_authz.within takes times as "09:00"',
  },
  {
    file: "weekday.rego",
    fits: isListOf(isTextOf(WEEKDAY)),
    standIn: [],
    rank: looksLike(/^\s*(?:mon|tue|wed|thu|fri|sat|sun)/i),
    wants: "mcp_authz.weekday_in takes days as monday, in lower case, or a list of them",
  },
  {
    file: "date.rego",
    fits: isTextOf(/^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$/),
    standIn: "2000-01-01",
    rank: looksLike(/^\s*\d{1,4}[-./]\d{1,2}[-./]\d{1,4}/),
    wants: 'mcp_authz.date_within takes dates as "2026-12-24"',
  },
];

/** What was wanted where the engine ended an evaluation because a function got something else; null for any other end. */
export function faultKind(thrown: unknown): ArgumentKind | null {
  if (typeof thrown !== "string") return null;
  return KINDS.find(({ file }) => thrown.startsWith(`mcp_authz/${file}:`)) ?? null;
}

/**
 * Finds the value by asking again with data in which some of what does not fit is something that does: in a dozen
 * evaluations, whatever the rules say and from wherever they have the value.
 * @param faults true if the evaluation ends the same way with this data
 * @returns words for the audit line and `why`, with keys of the data and no values
 */
export function findFault(kind: ArgumentKind, data: object, faults: (data: object) => boolean): string {
  const { standIn, wants } = kind;
  const places = placesIn(kind, data as JsonValue);
  const without = (count: number) =>
    replaced(data as JsonValue, { ids: new Set(places.slice(0, count).map(idOf)), standIn }) as object;
  if (places.length > MAX_PLACES || faults(without(places.length))) return `a value is of another form: ${wants}`;
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (faults(without(middle))) low = middle + 1;
    else high = middle;
  }
  const found = places[low - 1];
  return found === undefined ? `a value is of another form: ${wants}` : `${saidOf(kind, found)}: ${wants}`;
}

/** All values but the root that do not fit, each after what it holds. */
function placesIn({ fits, rank }: ArgumentKind, root: JsonValue): Place[] {
  const places: Place[] = [];
  const walk = (value: JsonValue, path: Path) => {
    if (places.length > MAX_PLACES) return;
    if (typeof value === "object" && value !== null)
      for (const [key, inner] of entriesOf(value)) walk(inner, [...path, key]);
    if (path.length > 0 && !fits(value)) places.push({ path, value, rank: rank(value) });
  };
  walk(root, []);
  return places.toSorted((a, b) => a.rank - b.rank);
}

function entriesOf(node: object): [Key, JsonValue][] {
  return Array.isArray(node) ? [...(node as JsonValue[]).entries()] : (Object.entries(node) as [string, JsonValue][]);
}

function idOf({ path }: Pick<Place, "path">): string {
  return JSON.stringify(path);
}

interface Replacement {
  readonly ids: ReadonlySet<string>;
  readonly standIn: JsonValue;
}

function replaced(value: JsonValue, by: Replacement, path: Path = []): JsonValue {
  if (by.ids.has(idOf({ path }))) return by.standIn;
  if (typeof value !== "object" || value === null) return value;
  const entries = entriesOf(value).map(([key, inner]) => [key, replaced(inner, by, [...path, key])] as const);
  return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
}

function saidOf({ fits }: ArgumentKind, { path, value }: Place): string {
  if (!Array.isArray(value)) return `${placeOf(path)} is ${typeOf(value)}`;
  const at = (value as JsonValue[]).findIndex((item) => !fits(item) || Array.isArray(item));
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
  if (typeof value === "string") return "another text";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
