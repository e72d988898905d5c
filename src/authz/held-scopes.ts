// The scopes of a caller's token that a challenge for more names too. Pure.
import type { Identity } from "./types.ts";

/** RFC 6750 §3.1 has no other characters in a scope: a challenge of more would be no header. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;
const MAX_HELD = 64;

/** @param isWanted `challenge.heldScopes` */
export function heldScopes({ scopes }: Pick<Identity, "scopes">, isWanted: boolean): readonly string[] {
  return isWanted ? scopes.filter((scope) => SCOPE.test(scope)).slice(0, MAX_HELD) : [];
}
