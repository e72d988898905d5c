// Judges a caller whose claims are checked at each use: lifetime, revocation and audience. One judgement for tokens and for what another
// party says of one. Pure; time is passed in.
import { refuse, type Refused } from "../authz/step.ts";
import type { Identity } from "../authz/types.ts";
import { SKEW_SECONDS, type CheckedClaims } from "./claims.ts";
import type { RevocationMatch } from "./revocations.ts";

export interface ClaimsInUse {
  readonly identity: Identity;
  readonly claims: Pick<CheckedClaims, "expiresAt" | "notBefore" | "audiences">;
  /** Each is accepted: those of the issuer, and the names of the endpoint. */
  readonly audiences: readonly (readonly string[])[];
  readonly revoked: () => RevocationMatch | null;
}

/** The refusal, with the caller whom it is about; null for none. @param now seconds since the epoch */
export function judgeClaims({ identity, claims, audiences, revoked }: ClaimsInUse, now: number): Refused | null {
  const fault = faultOfTimes(claims, now) ?? faultOfRevocation(revoked) ?? faultOfAudience(claims, audiences);
  return fault === null ? null : { ...fault, caller: identity };
}

function faultOfTimes({ expiresAt, notBefore }: ClaimsInUse["claims"], now: number): Refused | null {
  if (expiresAt + SKEW_SECONDS <= now) return refuse("token_expired");
  const isEarly = notBefore !== null && notBefore - SKEW_SECONDS > now;
  return isEarly ? refuse("token_invalid", "not valid yet, if this machine's clock is right") : null;
}

function faultOfRevocation(revoked: ClaimsInUse["revoked"]): Refused | null {
  const by = revoked();
  if (by === "unavailable") return refuse("revocations_unavailable", "the revocation file");
  return by === null ? null : refuse("token_revoked", `by ${by}`);
}

function faultOfAudience({ audiences }: ClaimsInUse["claims"], ours: ClaimsInUse["audiences"]): Refused | null {
  const isOurs = audiences.some((name) => ours.some((names) => names.includes(name)));
  return isOurs ? null : refuse("token_audience");
}
