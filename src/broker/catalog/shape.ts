// Checks the shape of a listed definition, as clients require it. Pure.
import { isObject } from "../../mcp/envelope.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { isExactNumber } from "../../json/strict-reader.ts";
import { foldName } from "../../json/strict-name.ts";
import type { ListKind } from "./kinds.ts";

/** The nesting depth; counts no further than `limit` + 1. */
export function depthOf(value: JsonValue, limit: number): number {
  if (typeof value !== "object" || value === null || isExactNumber(value)) return 0;
  if (limit === 0) return 1;
  return 1 + Math.max(0, ...Object.values(value).map((inner: JsonValue) => depthOf(inner, limit - 1)));
}

/** Bounds on members, and on code units of a name that is not ASCII: comparing those costs more than reading them. */
const MAX_MEMBERS = 64;
const MAX_OTHER_NAME = 64;

/** True if a tolerant reader could take one member for another: two readings of one definition (threat model: B03). */
export function hasLookalikes(entry: JsonObject): boolean {
  const names = Object.keys(entry);
  if (names.length > MAX_MEMBERS) return true;
  if (names.some((name) => name.length > MAX_OTHER_NAME && !/^[\x20-\x7e]*$/.test(name))) return true;
  return names.some((name) => /\p{Cc}/u.test(name)) || new Set(names.map(foldName)).size < names.length;
}

/** Clients validate a list as a whole: one entry of another shape would cost them all of it (threat model: B45). */
export function hasShape(kind: ListKind, entry: JsonObject): boolean {
  const optional = (member: string, is: (value: JsonValue) => boolean) => {
    const value = entry[member];
    return value === undefined || is(value);
  };
  const common =
    ["title", "description"].every((member) => optional(member, isText)) &&
    ["annotations", "_meta"].every((member) => optional(member, isObject)) &&
    optional("icons", (icons) => Array.isArray(icons) && icons.every(isObject));
  if (!common) return false;
  if (kind === "tools") {
    const { inputSchema = null } = entry;
    return isObject(inputSchema) && inputSchema["type"] === "object" && optional("outputSchema", isObject);
  }
  if (kind === "prompts") {
    const isArgument = (item: JsonValue) => isObject(item) && typeof item["name"] === "string";
    return optional("arguments", (list) => Array.isArray(list) && list.every(isArgument));
  }
  return typeof entry["name"] === "string" && optional("mimeType", isText);
}

function isText(value: JsonValue): boolean {
  return typeof value === "string";
}
