// A claim of a verified token, by its name or by a JSON Pointer (RFC 6901). Pure.
import type { JsonObject, JsonValue } from "../json/types.ts";

/** @param path a claim's name, or a JSON Pointer if it begins with "/" */
export function claimAt(claims: JsonObject, path: string): JsonValue | undefined {
  if (!path.startsWith("/")) return memberOf(claims, path);
  let node: JsonValue | undefined = claims;
  for (const part of path.slice(1).split("/")) node = memberOf(node, part.replaceAll("~1", "/").replaceAll("~0", "~"));
  return node;
}

function memberOf(node: JsonValue | undefined, name: string): JsonValue | undefined {
  if (typeof node !== "object" || node === null || Array.isArray(node)) return undefined;
  return Object.hasOwn(node, name) ? (node as JsonObject)[name] : undefined;
}
