// Cleans texts that models and terminals read otherwise than people see them (threat model: B34). Pure.
import { isObject } from "../../mcp/envelope.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { isExactNumber } from "../../json/strict-reader.ts";
import type { ListKind } from "./kinds.ts";
import { BY_NAME, DATA } from "./header-annotations.ts";

const MAX_TITLE = 512;
const MAX_DESCRIPTION = 4096;
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

/** The visible text, cut to `max` code units. */
export function cleanText(text: string, max: number): string {
  const shown = text.replace(TERMINAL, "").replace(INVISIBLE, "");
  if (shown.length <= max) return shown;
  // Not in the middle of a surrogate pair.
  return shown.slice(0, (shown.codePointAt(max - 1) ?? 0) > 0xff_ff ? max - 1 : max);
}

/** The definition with its titles and descriptions cleaned, wherever the protocol and JSON Schema have them. */
export function cleanDefinition(kind: ListKind, entry: JsonObject): JsonObject {
  const isNamedByUri = kind === "resources" || kind === "templates";
  return mapMembers(entry, (member, value) => {
    if (member === "name" && isNamedByUri) return cleanMember("title", value);
    if (member === "inputSchema" || member === "outputSchema") return cleanedSchema(value);
    if (member === "annotations" && isObject(value)) return mapMembers(value, cleanMember);
    if (member === "arguments" && Array.isArray(value))
      return value.map((item: JsonValue) => (isObject(item) ? mapMembers(item, cleanMember) : item));
    return cleanMember(member, value);
  });
}

function cleanMember(member: string, value: JsonValue): JsonValue {
  if (typeof value !== "string") return value;
  if (member === "title") return cleanText(value, MAX_TITLE);
  return member === "description" ? cleanText(value, MAX_DESCRIPTION) : value;
}

function cleanedSchema(node: JsonValue): JsonValue {
  if (Array.isArray(node)) return (node as readonly JsonValue[]).map(cleanedSchema);
  if (!isObject(node) || isExactNumber(node)) return node;
  return mapMembers(node, (member, value) => {
    if (typeof value === "string") return cleanMember(member, value);
    if (DATA.includes(member)) return value;
    if (BY_NAME.includes(member) && isObject(value)) return mapMembers(value, (_, schema) => cleanedSchema(schema));
    return cleanedSchema(value);
  });
}

function mapMembers(object: JsonObject, map: (member: string, value: JsonValue) => JsonValue): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([member, value]) => [member, map(member, value)]));
}
