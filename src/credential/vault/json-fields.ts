// Access to members of JSON values. Pure.
import { isObject } from "../../json/object.ts";
import type { JsonValue } from "../../json/types.ts";

/** Returns a member of a JSON object; undefined for any other value. */
export function member(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isObject(value) ? value[name] : undefined;
}
