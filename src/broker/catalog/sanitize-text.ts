// Cleans texts that models and terminals read otherwise than people see them (threat model: B34). Pure.
import { isObject } from "../../json/object.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { isExactNumber } from "../../json/strict-reader.ts";
import type { ListKind } from "../../mcp/lists.ts";
import { BY_NAME, DATA } from "./header-annotations.ts";

const MAX_TITLE = 512;
/** Above what real servers write, in code units; the whole definition has 64 KiB. */
const MAX_DESCRIPTION = 16 * 1024;
/**
 * Terminal commands (ECMA-48 §5.4, §8.3.89): control sequences and operating system commands. No part of the pattern can
 * match what the next one begins with, so the time is linear.
 */
const TERMINAL = new RegExp(
  String.raw`(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]?|(?:\u001b\]|\u009d)\P{Cc}*(?:\u0007|\u001b\\|\u009c)`,
  "gu",
);
/**
 * Characters that a model reads and a person does not see: zero-width, bidirectional, tag and variation characters, annotations
 * between lines, controls. Line breaks and tabs stay.
 */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb\u2028\u2029]|[^\P{Cc}\t\n]/gu;

export type TextChange = "text" | "text_cut";

/** The visible text, cut to `max` code units: then it ends with "…". */
export function cleanText(text: string, max: number, changes: Set<TextChange> = new Set()): string {
  const shown = text.replace(TERMINAL, "").replace(INVISIBLE, "");
  if (shown.length !== text.length) changes.add("text");
  if (shown.length <= max) return shown;
  changes.add("text_cut");
  const end = max - 1;
  // Not in the middle of a surrogate pair.
  return `${shown.slice(0, (shown.codePointAt(end - 1) ?? 0) > 0xff_ff ? end - 1 : end)}…`;
}

export interface Cleaned {
  readonly entry: JsonObject;
  readonly changes: readonly TextChange[];
}

/** The definition with its titles and descriptions cleaned, wherever the protocol and JSON Schema have them. */
export function cleanDefinition(kind: ListKind, entry: JsonObject): Cleaned {
  const changes = new Set<TextChange>();
  const member = memberCleaner(changes);
  const isNamedByUri = kind === "resources" || kind === "templates";
  const cleaned = mapMembers(entry, (name, value) => {
    if (name === "name" && isNamedByUri) return member("title", value);
    if (name === "inputSchema" || name === "outputSchema") return cleanedSchema(value, member);
    if (name === "annotations" && isObject(value)) return mapMembers(value, member);
    if (name === "arguments" && Array.isArray(value))
      return value.map((item: JsonValue) => (isObject(item) ? mapMembers(item, member) : item));
    return member(name, value);
  });
  return { entry: cleaned, changes: [...changes] };
}

type CleanMember = (member: string, value: JsonValue) => JsonValue;

function memberCleaner(changes: Set<TextChange>): CleanMember {
  return (member, value) => {
    if (typeof value !== "string") return value;
    if (member === "title") return cleanText(value, MAX_TITLE, changes);
    return member === "description" ? cleanText(value, MAX_DESCRIPTION, changes) : value;
  };
}

function cleanedSchema(node: JsonValue, member: CleanMember): JsonValue {
  if (Array.isArray(node)) return (node as readonly JsonValue[]).map((item) => cleanedSchema(item, member));
  if (!isObject(node) || isExactNumber(node)) return node;
  return mapMembers(node, (name, value) => {
    if (typeof value === "string") return member(name, value);
    if (DATA.includes(name)) return value;
    if (BY_NAME.includes(name) && isObject(value))
      return mapMembers(value, (_, schema) => cleanedSchema(schema, member));
    return cleanedSchema(value, member);
  });
}

function mapMembers(object: JsonObject, map: CleanMember): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([member, value]) => [member, map(member, value)]));
}
