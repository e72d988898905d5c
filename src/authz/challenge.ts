// The `WWW-Authenticate` challenge of a refusal (RFC 6750 §3, RFC 9728 §5.1). Pure.
import { WELL_KNOWN } from "./endpoint.ts";
import type { StepUp } from "./types.ts";
import type { Refused } from "./step.ts";

export interface ChallengeSettings {
  readonly publicOrigin: string;
  /** `scope="…"` of a 401; empty for none. */
  readonly scopes: readonly string[];
  /** True if tokens bound to a key are taken. */
  readonly dpop?: boolean;
}

/** Signature algorithms of proofs (RFC 9449 §4.2): asymmetric ones alone. */
export const PROOF_ALGORITHMS = ["ES256", "ES384", "PS256", "RS256", "EdDSA"];

/** RFC 9470 §3. Values and scopes are of characters that need no escape. */
function stepUpParts({ acrValues, maxAge, scopes }: StepUp): string[] {
  return [
    'error="insufficient_user_authentication"',
    'error_description="Another log-in is needed for this"',
    ...(acrValues.length > 0 ? [`acr_values="${acrValues.join(" ")}"`] : []),
    ...(maxAge === null ? [] : [`max_age="${maxAge}"`]),
    ...(scopes.length > 0 ? [`scope="${scopes.join(" ")}"`] : []),
  ];
}

/**
 * Makes the header of a 401, or of a 403 that a token with more scopes would solve.
 * The origin comes from the configuration; the path is one of the endpoint table.
 * @param path the endpoint's path; null where no document is about it
 */
export function challenge(
  settings: ChallengeSettings,
  path: string | null,
  { reason, scopes, stepUp }: Refused,
): string {
  const metadata = path === null ? [] : [`resource_metadata="${settings.publicOrigin}${WELL_KNOWN}${path}"`];
  const algorithms = `algs="${PROOF_ALGORITHMS.join(" ")}"`;
  const where = [`realm="${settings.publicOrigin}"`, ...metadata];
  if (reason === "proof_invalid") return `DPoP ${[...where, 'error="invalid_dpop_proof"', algorithms].join(", ")}`;
  const parts = [`Bearer realm="${settings.publicOrigin}"`, ...metadata];
  if (stepUp !== undefined) parts.push(...stepUpParts(stepUp));
  else if (reason === "scope_insufficient")
    parts.push('error="insufficient_scope"', `scope="${(scopes ?? []).join(" ")}"`);
  else {
    if (reason !== "token_missing") parts.push('error="invalid_token"');
    if (settings.scopes.length > 0) parts.push(`scope="${settings.scopes.join(" ")}"`);
  }
  // RFC 9449 §7.1: a client that has a key learns that it may use it.
  if (settings.dpop === true) parts.push(`DPoP ${algorithms}`);
  return parts.join(", ");
}
