import type { JsonObject, JsonValue } from "../../json/types.ts";

/** A member of a JSON object; undefined for anything else. */
export function member(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isObject(value) ? value[name] : undefined;
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
