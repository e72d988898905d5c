import type { JsonValue } from "../../json/types.ts";

/** RFC 6749 §3.3; longer ones are nobody's scope. */
const PRINTABLE = /^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/;
/** What a secret and a name may have in common by chance is shorter. */
const TELLING_LENGTH = 12;
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
  const tells = tellsOf(secrets);
  const isSafe = (name: string) => PRINTABLE.test(name) && !tells(name);
  const shown = names.slice(0, MAX_NAMED).map((name) => (isSafe(name) ? name : "(not printable)"));
  return names.length > MAX_NAMED ? `${shown.join(" ")} and ${names.length - MAX_NAMED} more` : shown.join(" ");
}

/** Whether a text of the IdP holds one of the secrets, or much of one. */
export function tellsOf(secrets: readonly string[]): (name: string) => boolean {
  const hidden = secrets.flatMap(spellings);
  return (name) => hidden.some((secret) => reveals(name, secret));
}

function reveals(name: string, secret: string): boolean {
  if (name.includes(secret)) return true;
  for (let at = 0; at + TELLING_LENGTH <= name.length; at += 1) {
    if (secret.includes(name.slice(at, at + TELLING_LENGTH))) return true;
  }
  return false;
}

/** A secret as it is echoed by mistake: as it is, or in a usual encoding. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [secret, bytes.toString("base64"), bytes.toString("base64url"), bytes.toString("hex")];
}
