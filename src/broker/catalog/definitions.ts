// Reads the items of one list: keeps those that can be named in a call, cleans their texts, counts the rest. Pure.
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import type { Kind } from "../../mcp/operation.ts";
import { isCallable } from "../../mcp/merged-names.ts";
import type { ServerNames } from "../../mcp/resolver.ts";
import { readJson } from "../../json/strict-reader.ts";
import { LISTS, type ListKind } from "../../mcp/lists.ts";
import { cleanDefinition } from "./sanitize-text.ts";
import { hasRoom, remark, type DropReason, type ListingStats } from "./remarks.ts";
import { repair, type Repaired } from "./repair.ts";
import { depthOf, hasLookalikes } from "./shape.ts";
import { mergedDefinition } from "./merged-definition.ts";
import { annotatedHeaders } from "./header-annotations.ts";

/** An entry of a list: its name in calls, and its definition as JSON text. */
export interface ListEntry {
  readonly name: string;
  readonly json: string;
  /** The definition on the merged endpoint, under its name there; null for what is not shown there. */
  readonly merged: string | null;
  /** A tool of which an argument must be said in a header, too. */
  readonly mirrors?: true;
}

export const MAX_ENTRY_BYTES = 64 * 1024;
const MAX_ENTRY_DEPTH = 32;

/** Bytes that one server's listing may still take, all kinds together; counted down. */
export interface ListBudget {
  /** Of names, as JSON in a wristband. */
  names: number;
  /** Of definitions. */
  definitions: number;
}

export interface ReadOptions {
  /** Number of entries that may be kept. */
  readonly room: number;
  /** Its server's names on the merged endpoint. */
  readonly names: ServerNames;
  /** False for what the configuration hides from every caller. */
  readonly isOffered: (kind: Kind, name: string) => boolean;
  readonly stats: ListingStats;
  readonly budget: ListBudget;
}

/** Reads the items of one list as they come. */
export interface EntryReader {
  /** @param text one item of the list, as the server wrote it */
  take(text: Buffer): void;
  /** Asks about the tools' output schemas, as JSON, and leaves out those that do not compile; their tools stay. */
  checkOutputSchemas(compile: (texts: readonly string[]) => Promise<readonly boolean[]>): Promise<void>;
  /** In the order of their names. */
  entries(): ListEntry[];
}

/** Above our own limits, so that an item beyond those is left out alone. Spaces may double the length of a text. */
const ITEM_LIMITS = { maxDepth: 256, maxMembers: 200_000, verbatim: true };
const MAX_TEXT_BYTES = 2 * MAX_ENTRY_BYTES;

/**
 * Keeps entries that can be named in a call, each name once. Cleans their texts for people and passes on all else as it came.
 * Checks for room before it parses or cleans: a server costs no more than what is kept of it, and a scan of the rest.
 */
export function createEntryReader(kind: ListKind, options: ReadOptions): EntryReader {
  const kept = new Map<string, ListEntry>();
  const outputs = new Map<string, JsonObject>();
  const { stats, budget, room } = options;
  const drop = (reason: DropReason, name: string | null) => remark(stats.dropped, reason, name);
  const keep = (entry: ListEntry) => {
    kept.set(entry.name, entry);
    budget.names -= nameBytes(entry.name);
    budget.definitions -= Buffer.byteLength(entry.json);
    if (entry.merged === null) drop("prefixed_name", entry.name);
  };
  let place = 0;
  return {
    take(text) {
      place += 1;
      const inPlace = `${kind} #${place}`;
      if (text.length > MAX_TEXT_BYTES) return drop("too_large", inPlace);
      if (kept.size >= room)
        return drop("too_many", hasRoom(stats.dropped.too_many) ? (nameIn(kind, text) ?? inPlace) : null);
      const json = readJson(text, ITEM_LIMITS);
      const entry = json.ok ? readEntry(kind, json.value, { ...options, kept, outputs }) : "malformed";
      if (typeof entry === "string") drop(entry, (json.ok ? nameOf(kind, json.value) : null) ?? inPlace);
      else keep(entry);
    },
    async checkOutputSchemas(compile) {
      const definitions = [...outputs];
      if (definitions.length === 0) return;
      const verdicts = await compile(definitions.map(([, { outputSchema }]) => JSON.stringify(outputSchema)));
      for (const [i, [name, { outputSchema: _, ...rest }]] of definitions.entries()) {
        if (verdicts[i] === true) continue;
        kept.set(name, render(kind, rest, options.names));
        remark(stats.changed, "output_schema", name);
      }
      outputs.clear();
    },
    entries: () => [...kept.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

/** Bytes in a wristband: JSON, with a comma. */
function nameBytes(name: string): number {
  return Buffer.byteLength(JSON.stringify(name)) + 1;
}

interface EntryOptions extends ReadOptions {
  readonly kept: ReadonlyMap<string, ListEntry>;
  /** Definitions with an output schema that is yet to be compiled, by name. */
  readonly outputs: Map<string, JsonObject>;
}

function nameOf(kind: ListKind, item: JsonValue): string | null {
  const name = isObject(item) ? item[LISTS[kind].key] : null;
  return typeof name === "string" ? name : null;
}

function nameIn(kind: ListKind, text: Buffer): string | null {
  const json = readJson(text, ITEM_LIMITS);
  return json.ok ? nameOf(kind, json.value) : null;
}

function faultOfName(kind: ListKind, name: string, { isOffered, names, kept }: EntryOptions): DropReason | null {
  if (!isUsableName(kind, name)) return "name";
  if (!isOffered(LISTS[kind].kind, name)) return "not_offered";
  if (names.shownName(LISTS[kind].kind, name) === null) return "alias_taken";
  return kept.has(name) ? "duplicate" : null;
}

function readEntry(kind: ListKind, item: JsonValue, options: EntryOptions): ListEntry | DropReason {
  const name = nameOf(kind, item);
  if (!isObject(item) || name === null) return "malformed";
  const unnamed = faultOfName(kind, name, options);
  if (unnamed !== null) return unnamed;
  const { stats, budget } = options;
  const original = JSON.stringify(item);
  if (nameBytes(name) > budget.names || Buffer.byteLength(original) > budget.definitions) return "too_large";
  const definition = readDefinition(kind, item, original);
  if (typeof definition === "string") return definition;
  const { entry, changes } = definition;
  for (const reason of changes) remark(stats.changed, reason, name);
  if (kind === "tools" && Object.hasOwn(entry, "outputSchema")) options.outputs.set(name, entry);
  return render(kind, entry, options.names);
}

function render(kind: ListKind, entry: JsonObject, names: ServerNames): ListEntry {
  const name = nameOf(kind, entry) ?? "";
  // Only a tool has an alias: nothing else is shown under another name than its own.
  const shown = kind === "tools" ? { ...entry, name: names.shownName("tool", name) } : entry;
  const { inputSchema } = entry;
  const mirrors = kind === "tools" && isObject(inputSchema) && (annotatedHeaders(inputSchema)?.size ?? 0) > 0;
  return {
    name,
    json: JSON.stringify(shown),
    merged: mergedDefinition(kind, entry, names),
    ...(mirrors && { mirrors }),
  };
}

/** The definition as it is shown, mended and cleaned, or why it is not. */
function readDefinition(kind: ListKind, item: JsonObject, text: string): Repaired | DropReason {
  const fault = faultOf(item, text);
  if (fault !== null) return fault;
  const repaired = repair(kind, item);
  if (repaired === null) return "malformed";
  if (!hasUsableHeaders(kind, repaired.entry)) return "header_annotation";
  const { entry, changes } = cleanDefinition(kind, repaired.entry);
  return { entry, changes: [...repaired.changes, ...changes] };
}

function faultOf(item: JsonObject, text: string): DropReason | null {
  if (Buffer.byteLength(text) > MAX_ENTRY_BYTES) return "too_large";
  if (depthOf(item, MAX_ENTRY_DEPTH) > MAX_ENTRY_DEPTH) return "too_deep";
  return hasLookalikes(item) ? "malformed" : null;
}

function hasUsableHeaders(kind: ListKind, { inputSchema }: JsonObject): boolean {
  return kind !== "tools" || !isObject(inputSchema) || annotatedHeaders(inputSchema) !== null;
}

/** A name that a call would refuse is not listed (threat model: B15, B16). */
function isUsableName(kind: ListKind, name: string): boolean {
  return isCallable(LISTS[kind].kind, name) && (kind !== "resources" || !name.includes("{"));
}
