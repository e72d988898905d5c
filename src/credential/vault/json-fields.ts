// Access to members of JSON values. Pure.
import type { JsonObject, JsonValue } from "../../json/types.ts";

/** Returns a member of a JSON object; undefined for any other value. */
export function member(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isObject(value) ? value[name] : undefined;
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
