// The claims `act` and `may_act` of a JWT (RFC 8693 §4.1, §4.4). Pure.
import type { JsonObject, JsonValue } from "../json/types.ts";

const MAX_TEXT = 256;

/** True for a name that an identity may have: not empty, at most 256 bytes, no control characters. */
export function isPlainText(value: JsonValue | undefined): value is string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return typeof value === "string" && value !== "" && Buffer.byteLength(value) <= MAX_TEXT && !/\p{Cc}/u.test(value);
}

/**
 * Returns the party in `act` or `may_act`: its `sub`, or null if other claims name it.
 * @returns undefined if the claim is malformed
 */
export function partyOf(value: JsonValue | undefined): string | null | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { sub } = value as JsonObject;
  if (sub === undefined) return null;
  return isPlainText(sub) ? sub : undefined;
}

/**
 * True if `act` or `may_act` names this party. `iss` and `sub` name it together; without `iss` the issuer is the token's.
 */
export function isParty(value: JsonValue | undefined, subject: string, issuer: JsonValue | undefined): boolean {
  if (partyOf(value) !== subject) return false;
  const { iss } = value as JsonObject;
  return iss === undefined || iss === issuer;
}

/** Lists the actors of a token that have a `sub`: the current one first, then the earlier ones. */
export function actorsOf(claims: JsonObject): string[] {
  const actors: string[] = [];
  let node = claims["act"];
  for (let name = partyOf(node); typeof name === "string"; name = partyOf(node)) {
    actors.push(name);
    node = (node as JsonObject)["act"];
  }
  return actors;
}
