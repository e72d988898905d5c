// Names and values of a query or a form (application/x-www-form-urlencoded), as Go's url.ParseQuery has them. Pure.
import { FEW_MEMBERS, isElementChain, isNameChain } from "../../json/hash-chains.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";

/** Pairs at most. */
const MAX_PAIRS = 1000;

/**
 * Each name with its values, in their order; null for a text that two readers could read differently: a ";", a percent sign
 * without two digits, bytes that are not UTF-8.
 */
export function parseQuery(text: string): JsonObject | null {
  const pairs = text.split("&").filter((pair) => pair !== "");
  if (text.includes(";") || pairs.length > MAX_PAIRS) return null;
  const found = new Map<string, string[]>();
  for (const pair of pairs) {
    const cut = pair.indexOf("=");
    const name = unescaped(cut === -1 ? pair : pair.slice(0, cut));
    const value = cut === -1 ? "" : unescaped(pair.slice(cut + 1));
    if (name === null || value === null) return null;
    put(found, name, value);
  }
  return byName(found);
}

/** Adds a value behind those that its name has. */
export function put<T>(found: Map<string, T[]>, name: string, value: T): void {
  const values = found.get(name);
  if (values === undefined) found.set(name, [value]);
  else values.push(value);
}

/** As an object; null for names or values that were made to share one hash in policy. */
export function byName(found: ReadonlyMap<string, readonly JsonValue[]>): JsonObject | null {
  if (found.size > FEW_MEMBERS && isNameChain([...found.keys()])) return null;
  for (const values of found.values()) if (values.length > FEW_MEMBERS && isElementChain(values)) return null;
  return Object.fromEntries(found);
}

function unescaped(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return null;
  }
}
