// Scope values (RFC 6749 §3.3), and the filter that keeps secrets out of logged texts of an IdP. Pure.
import type { JsonValue } from "../../json/types.ts";

/** A scope that may be logged: RFC 6749 §3.3, up to 64 characters. */
const PRINTABLE = /^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/;
/** Characters in common with a secret that are no coincidence. */
const REVEALING_LENGTH = 12;
const MAX_NAMED = 4;

/** Reads the scopes of a string or of a list; null for anything else. */
export function scopeNames(value: JsonValue): readonly string[] | null {
  if (typeof value === "string") return value.split(" ").filter((name) => name !== "");
  if (!Array.isArray(value)) return null;
  const names = value as readonly JsonValue[];
  return names.every((name) => typeof name === "string") ? names : null;
}

/** Renders scopes for the log. They are texts of the IdP, which could hold a secret. */
export function printableScopes(names: readonly string[], secrets: readonly string[]): string {
  const holdsSecret = secretFilter(secrets);
  const isSafe = (name: string) => PRINTABLE.test(name) && !holdsSecret(name);
  const shown = names.slice(0, MAX_NAMED).map((name) => (isSafe(name) ? name : "(not printable)"));
  return names.length > MAX_NAMED ? `${shown.join(" ")} and ${names.length - MAX_NAMED} more` : shown.join(" ");
}

/** Makes a predicate that is true for a text with one of the secrets, or with much of one. */
export function secretFilter(secrets: readonly string[]): (name: string) => boolean {
  const hidden = secrets.flatMap(spellings);
  return (name) => hidden.some((secret) => reveals(name, secret));
}

function reveals(name: string, secret: string): boolean {
  if (name.includes(secret)) return true;
  for (let at = 0; at + REVEALING_LENGTH <= name.length; at += 1) {
    if (secret.includes(name.slice(at, at + REVEALING_LENGTH))) return true;
  }
  return false;
}

/** The encodings in which a secret may be echoed by mistake. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [secret, bytes.toString("base64"), bytes.toString("base64url"), bytes.toString("hex")];
}
