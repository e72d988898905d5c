// Checks how deep a listed definition is nested, and whether its members can be told apart. Pure.
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { isExactNumber } from "../../json/strict-reader.ts";
import { foldName } from "../../json/strict-name.ts";

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
