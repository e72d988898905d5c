import type { JsonObject, JsonValue } from "../json/types.ts";

const MAX_TEXT = 256;

/** A name as an identity may have one: not empty, bounded, without control characters. */
export function isPlainText(value: JsonValue | undefined): value is string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return typeof value === "string" && value !== "" && Buffer.byteLength(value) <= MAX_TEXT && !/\p{Cc}/u.test(value);
}

/**
 * Whom `act` or `may_act` names (RFC 8693 §4.1, §4.4): its `sub`, null when it is named by other claims.
 * @returns undefined when it is malformed
 */
export function partyOf(value: JsonValue | undefined): string | null | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { sub } = value as JsonObject;
  if (sub === undefined) return null;
  return isPlainText(sub) ? sub : undefined;
}

/**
 * Whether `act` or `may_act` names this party. RFC 8693 §4.1: `iss` and `sub` name it together; without an `iss` it is one
 * of the token's own issuer.
 */
export function isParty(value: JsonValue | undefined, subject: string, issuer: JsonValue | undefined): boolean {
  if (partyOf(value) !== subject) return false;
  const { iss } = value as JsonObject;
  return iss === undefined || iss === issuer;
}

/** Who acts for the subject of a token, and who did before, as far as they are named by `sub`: the current one first. */
export function actorsOf(claims: JsonObject): string[] {
  const actors: string[] = [];
  let node = claims["act"];
  for (let name = partyOf(node); typeof name === "string"; name = partyOf(node)) {
    actors.push(name);
    node = (node as JsonObject)["act"];
  }
  return actors;
}
