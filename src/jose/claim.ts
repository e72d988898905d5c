// A claim of a verified token, by its name or by a JSON Pointer (RFC 6901). Pure.
import type { JsonObject, JsonValue } from "../json/types.ts";

/** @param path a claim's name, or a JSON Pointer if it begins with "/" */
export function claimAt(claims: JsonObject, path: string): JsonValue | undefined {
  if (!path.startsWith("/")) return memberOf(claims, path);
  let node: JsonValue | undefined = claims;
  for (const part of partsOf(path)) node = memberOf(node, part);
  return node;
}

/** The claim that a path begins in: its name, or the first part of a JSON Pointer. */
export function claimName(path: string): string {
  return path.startsWith("/") ? (partsOf(path)[0] ?? "") : path;
}

function partsOf(pointer: string): string[] {
  const parts = pointer.slice(1).split("/");
  return parts.map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function memberOf(node: JsonValue | undefined, name: string): JsonValue | undefined {
  if (typeof node !== "object" || node === null || Array.isArray(node)) return undefined;
  return Object.hasOwn(node, name) ? (node as JsonObject)[name] : undefined;
}
