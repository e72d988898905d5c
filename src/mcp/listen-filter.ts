// The filter of `subscriptions/listen`: which changes its client wants to hear of. Pure; serve and broker read it alike.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/subscriptions
import { isObject } from "../json/object.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";
import type { WatchedNames } from "./operation.ts";

/** Of each kind and one stream: policy is asked about each. Further ones are not honoured, which the client is told. */
export const MAX_WATCHED = 64;
const SWITCHES = ["toolsListChanged", "promptsListChanged", "resourcesListChanged"];
const LISTS = ["resourceSubscriptions", "taskIds"];

/** Describes the first fault of the params of `subscriptions/listen`; null if they have none. */
export function faultOfFilter({ notifications }: JsonObject): string | null {
  if (!isObject(notifications)) return "notifications is not an object";
  for (const name of SWITCHES) {
    const value = notifications[name];
    if (isThere(value) && typeof value !== "boolean") return `${name} is not a boolean`;
  }
  for (const name of LISTS) {
    const value = notifications[name];
    if (isThere(value) && !isTexts(value)) return `${name} is not a list of texts`;
  }
  return null;
}

/** Null is what is left out (threat model: B10). */
function isThere(value: JsonValue | undefined): boolean {
  return value !== undefined && value !== null;
}

/** The names in params without a fault. */
export function watchedIn({ notifications }: JsonObject): WatchedNames {
  const filter = isObject(notifications) ? notifications : {};
  return { uris: firstOf(filter["resourceSubscriptions"]), taskIds: firstOf(filter["taskIds"]) };
}

function firstOf(value: JsonValue | undefined): readonly string[] {
  return isTexts(value) ? [...new Set(value)].slice(0, MAX_WATCHED) : [];
}

function isTexts(value: JsonValue | undefined): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
