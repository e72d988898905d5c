// Repairs a listed definition to what the protocol's schemas accept. Clients validate a list as a whole: one entry of another
// shape would cost them all of it. Pure. https://modelcontextprotocol.io/specification/2026-07-28/schema
import { z } from "zod";
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { isExactNumber } from "../../json/strict-reader.ts";
import type { ListKind } from "../../mcp/lists.ts";
import type { ChangeReason } from "./remarks.ts";

export interface Repaired {
  readonly entry: JsonObject;
  /** What was changed; empty if the entry is the same object. */
  readonly changes: readonly ChangeReason[];
}

/** The value as it may stand, the same one if nothing is wrong with it; undefined if its member has to go. */
type Fix = (value: JsonValue) => JsonValue | undefined;

const text: Fix = (value) => (typeof value === "string" ? value : undefined);
const flag: Fix = (value) => (typeof value === "boolean" ? value : undefined);
const object: Fix = (value) => (isRecord(value) ? value : undefined);

/** The number, also where it keeps its spelling (`1.0`). */
function numberOf(value: JsonValue): number {
  return Number(typeof value === "number" || isExactNumber(value) ? JSON.stringify(value) : Number.NaN);
}

/** A whole number is written without point and exponent: Go reads no other into an integer. */
const integer: Fix = (value) => {
  const number = numberOf(value);
  if (!Number.isSafeInteger(number)) return undefined;
  return typeof value === "number" ? value : number;
};

const share: Fix = (value) => {
  const number = numberOf(value);
  return number >= 0 && number <= 1 ? value : undefined;
};

const oneOf =
  (...words: readonly string[]): Fix =>
  (value) =>
    typeof value === "string" && words.includes(value) ? value : undefined;

/** The official TypeScript clients read no other form of RFC 3339; the published schema only says text. */
const DATE_TIME = z.iso.datetime({ offset: true });
const dateTime: Fix = (value) => (DATE_TIME.safeParse(value).success ? value : undefined);

/** Without the items that cannot stay; a list that would become empty by that goes as a whole. */
const listOf =
  (fix: Fix): Fix =>
  (value) => {
    if (!Array.isArray(value)) return undefined;
    const before = value as readonly JsonValue[];
    const after = before.map(fix).filter((item) => item !== undefined);
    if (after.length === before.length && after.every((item, i) => item === before[i])) return before;
    return after.length === 0 ? undefined : after;
  };

const record =
  (members: Readonly<Record<string, Fix>>, required: readonly string[] = []): Fix =>
  (value) => {
    if (!isRecord(value)) return undefined;
    const fixed = fixMembers(value, members);
    return required.every((name) => Object.hasOwn(fixed, name)) ? fixed : undefined;
  };

/** The same object if nothing had to be changed. Members that have no fix stay as they are. */
function fixMembers(value: JsonObject, members: Readonly<Record<string, Fix>>): JsonObject {
  const entries = Object.entries(value);
  const fixed = entries.flatMap(([name, member]): [string, JsonValue][] => {
    const fix = Object.hasOwn(members, name) ? members[name] : undefined;
    const after = fix === undefined ? member : fix(member);
    return after === undefined ? [] : [[name, after]];
  });
  const isSame = fixed.length === entries.length && fixed.every(([, member], i) => member === entries[i]?.[1]);
  return isSame ? value : Object.fromEntries(fixed);
}

/** Names in snake case and `meta` are those of the Python SDK 2, which reads them as the members that they are named after. */
const ICON = record(
  { src: text, mimeType: text, mime_type: text, sizes: listOf(text), theme: oneOf("light", "dark") },
  ["src"],
);
const COMMON = { title: text, description: text, icons: listOf(ICON), _meta: object, meta: object };
const ANNOTATIONS = record({
  audience: listOf(oneOf("user", "assistant")),
  priority: share,
  lastModified: dateTime,
  last_modified: text,
});
const TOOL_ANNOTATIONS = record({
  title: text,
  ...Object.fromEntries(
    ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"].map((name) => [name, flag]),
  ),
  ...Object.fromEntries(
    ["read_only_hint", "destructive_hint", "idempotent_hint", "open_world_hint"].map((name) => [name, flag]),
  ),
});
const TASKS = oneOf("required", "optional", "forbidden");

/** A schema of one property. Older revisions have objects only; the value of `true` and `false` can be said as one. */
const property: Fix = (value) => (isRecord(value) ? value : value === false ? { not: {} } : {});

/** PHP writes an empty object as an empty list. */
const properties: Fix = (value) => {
  if (Array.isArray(value)) return value.length === 0 ? {} : value;
  if (!isRecord(value)) return value === null ? undefined : value;
  return fixMembers(value, Object.fromEntries(Object.keys(value).map((name) => [name, property])));
};

const SCHEMA = { $schema: text, schema_: text, properties, required: listOfTexts };
/** Clients keep the output schemas of a list in one registry: by its `$id` one would stand in for another's. */
const OUTPUT_SCHEMA = { ...SCHEMA, $id: () => undefined };

/** `true` and other forms of old drafts say nothing here. */
function listOfTexts(value: JsonValue): JsonValue | undefined {
  return Array.isArray(value) && value.length === 0 ? value : listOf(text)(value);
}

/** The schema of an object, or undefined. */
function objectSchema(value: JsonObject, members: Readonly<Record<string, Fix>>): JsonObject | undefined {
  if (value["type"] !== "object") return undefined;
  const fixed = fixMembers(value, members);
  const { properties: named = {} } = fixed;
  return isRecord(named) ? fixed : undefined;
}

const MEMBERS: Readonly<Record<ListKind, Readonly<Record<string, Fix>>>> = {
  tools: {
    ...COMMON,
    annotations: TOOL_ANNOTATIONS,
    execution: record({ taskSupport: TASKS, task_support: TASKS }),
    input_schema: object,
    output_schema: object,
  },
  prompts: COMMON,
  resources: { ...COMMON, mimeType: text, mime_type: text, size: integer, annotations: ANNOTATIONS },
  templates: { ...COMMON, mimeType: text, mime_type: text, annotations: ANNOTATIONS, uri_template: text },
};

/**
 * The definition as every published schema of its list accepts it (2025-06-18 to 2026-07-28), and as the official clients
 * do: an optional member of another type goes, or the part of it that is wrong. Null if it cannot be repaired without
 * guessing: a required member is missing or of another type (threat model: B45).
 */
export function repair(kind: ListKind, entry: JsonObject): Repaired | null {
  const members = fixMembers(entry, MEMBERS[kind]);
  const changes = new Set<ChangeReason>(members === entry ? [] : ["member"]);
  const rest = REQUIRED[kind](members, changes);
  return rest === null ? null : { entry: rest, changes: [...changes] };
}

type Required = (entry: JsonObject, changes: Set<ChangeReason>) => JsonObject | null;

const REQUIRED: Readonly<Record<ListKind, Required>> = {
  tools: repairSchemas,
  prompts: repairArguments,
  resources: (entry) => (typeof entry["name"] === "string" ? entry : null),
  templates: (entry) => (typeof entry["name"] === "string" ? entry : null),
};

function repairSchemas(entry: JsonObject, changes: Set<ChangeReason>): JsonObject | null {
  const { inputSchema, outputSchema } = entry;
  if (!isRecord(inputSchema)) return null;
  // Arguments are always an object, so that a missing type can be written down.
  const typed = Object.hasOwn(inputSchema, "type") ? inputSchema : { ...inputSchema, type: "object" };
  const input = objectSchema(typed, SCHEMA);
  if (input === undefined) return null;
  const output = isRecord(outputSchema) ? objectSchema(outputSchema, OUTPUT_SCHEMA) : undefined;
  if (input !== inputSchema) changes.add("input_schema");
  if (output !== outputSchema) changes.add("output_schema");
  return fixMembers(entry, { inputSchema: () => input, outputSchema: () => output });
}

const ARGUMENT = record({ title: text, description: text, required: flag }, ["name"]);

/** A prompt cannot be used without an argument that it names in a way of its own. */
function repairArguments(entry: JsonObject, changes: Set<ChangeReason>): JsonObject | null {
  const { arguments: list } = entry;
  if (list === undefined) return entry;
  if (list === null || (isRecord(list) && Object.keys(list).length === 0)) {
    changes.add("member");
    return fixMembers(entry, { arguments: () => undefined });
  }
  if (!Array.isArray(list) || !list.every((item: JsonValue) => isObject(item) && typeof item["name"] === "string"))
    return null;
  const fixed = listOf(ARGUMENT)(list) ?? list;
  if (fixed !== list) changes.add("member");
  return fixMembers(entry, { arguments: () => fixed });
}

function isRecord(value: JsonValue | undefined): value is JsonObject {
  return isObject(value) && !isExactNumber(value);
}
