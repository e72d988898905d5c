import type { JsonValue } from "../../mcp/json.ts";

/** RFC 6749 §3.3; longer ones are nobody's scope. */
const PRINTABLE = /^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/;
/** Shorter texts reveal nothing of a secret that happens to hold them. */
const TELLING_LENGTH = 8;
const MAX_NAMED = 4;

/** The scopes of a `scope` text, or of a claim that is a list; null if it is neither. */
export function scopeNames(value: JsonValue): readonly string[] | null {
  if (typeof value === "string") return value.split(" ").filter((name) => name !== "");
  if (!Array.isArray(value)) return null;
  const names = value as readonly JsonValue[];
  return names.every((name) => typeof name === "string") ? names : null;
}

/** Names scopes for the operator: they are the IdP's text, which must not bring a secret into the log. */
export function scopesForPeople(names: readonly string[], secrets: readonly string[]): string {
  const isSafe = (name: string) =>
    PRINTABLE.test(name) &&
    !secrets.some((secret) => secret === name || (name.length >= TELLING_LENGTH && secret.includes(name)));
  const shown = names.slice(0, MAX_NAMED).map((name) => (isSafe(name) ? name : "(not printable)"));
  return names.length > MAX_NAMED ? `${shown.join(" ")} and ${names.length - MAX_NAMED} more` : shown.join(" ");
}
