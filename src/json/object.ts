// Tells objects from the other values of JSON. Pure.
import type { JsonObject } from "./types.ts";

/** True for an object, of a value of JSON or undefined; a list and null are none. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
