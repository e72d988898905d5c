// Callers whose token another party has verified, and whose facts it tells us: checked as the claims of a token are. Pure.
import { pass, refuse, type Step } from "../authz/step.ts";
import type { TokenlessIdentity } from "../authz/types.ts";
import { actorsOf } from "../jose/act-claim.ts";
import { claimAt } from "../jose/claim.ts";
import type { JsonObject } from "../json/types.ts";
import { authenticationOf } from "./authentication.ts";
import { checkClaims, subjectPath, type CheckedClaims, type ClaimRules } from "./claims.ts";
import type { IssuerOptions } from "./identity.ts";
import { judgeClaims } from "./judge-claims.ts";
import type { RevocationMatch } from "./revocations.ts";

/** What the party says. */
export interface VouchedFor {
  readonly subject: string;
  readonly kind: "user" | "machine";
  /** Null for the one issuer of the configuration. */
  readonly issuer: string | null;
  /** The claims of the token, from which the rest is read; null where the party names the rest one by one. */
  readonly claims: JsonObject | null;
  /** Under the names of the issuer's claims. */
  readonly said: Readonly<Record<"username" | "groups" | "scopes", JsonObject[string] | undefined>>;
}

export interface VouchedDeps {
  readonly issuers: readonly Pick<
    IssuerOptions,
    "issuer" | "audiences" | "claims" | "audienceClaim" | "tokenType" | "dpop" | "machine"
  >[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly revoked: (identity: TokenlessIdentity) => RevocationMatch | null;
}

const HOUR = 3600;
const CLAIMS = { username: "username", groups: "groups", scopes: "scope" };

/** @param resources names of the endpoint, any of which a token's audience may be */
export function createVouched({ issuers, now, revoked }: VouchedDeps) {
  return (of: VouchedFor, resources: readonly string[]): Step<TokenlessIdentity> => {
    const issuer = issuerOf(issuers, of.issuer);
    if (issuer === undefined) return refuse("token_invalid", "issuer is not configured");
    const seconds = now() / 1000;
    const claims = claimsOf(of, issuer, { seconds, resources });
    if (typeof claims === "string") return refuse("token_invalid", claims);
    const checked = checkClaims(claims, rulesFor(of, issuer), seconds);
    if (typeof checked === "string") return refuse("token_invalid", `claim: ${checked}`);
    const identity = identityOf(of, checked, issuer);
    const audiences = [resources, issuer.audiences];
    const fault = judgeClaims({ identity, claims: checked, audiences, revoked: () => revoked(identity) }, seconds);
    if (fault !== null) return fault;
    return isBound(of.claims, issuer) ? pass(identity) : { ...UNBOUND, caller: identity };
  };
}

const UNBOUND = refuse("proof_invalid", "the issuer's tokens must be bound to a key");

/** By `cnf`: the party has seen the proof. What is said one by one is of no token. */
function isBound(claims: JsonObject | null, { dpop }: VouchedIssuer): boolean {
  return claims === null || dpop !== "required" || "cnf" in claims;
}

/** The header that says `at+jwt` is not here: the claims alone tell an access token from others. */
function rulesFor({ claims }: VouchedFor, issuer: VouchedIssuer): ClaimRules {
  const rules = { ...issuer, tokenType: "jwt" } as const;
  // What is said one by one has our own names, not those of the issuer.
  return claims === null ? { ...rules, claims: CLAIMS, audienceClaim: null } : rules;
}

/** Whether there is a claim that a Check would read the audience from. */
function saysAudience(claims: JsonObject | null, { audienceClaim = null }: VouchedIssuer): boolean {
  if (claims === null) return false;
  return "aud" in claims || (audienceClaim !== null && claimAt(claims, audienceClaim) !== undefined);
}

type VouchedIssuer = VouchedDeps["issuers"][number];

function issuerOf(issuers: VouchedDeps["issuers"], name: string | null): VouchedIssuer | undefined {
  return name === null && issuers.length === 1 ? issuers[0] : issuers.find(({ issuer }) => issuer === name);
}

function identityOf(of: VouchedFor, checked: CheckedClaims, issuer: VouchedIssuer): TokenlessIdentity {
  const { subject, username, groups, scopes, expiresAt } = checked;
  const said = of.claims ?? {};
  return {
    ...{ method: "vouched", issuer: issuer.issuer, subject, username, groups, scopes, opens: null, expiresAt },
    ...authenticationOf(said, issuer.machine ?? null),
    ...(of.claims === null && { kind: of.kind }),
    ...{ actors: actorsOf(said), claims: said },
  };
}

/** Claims that can be checked, or the fault. What a token must say and a party need not is filled in. */
function claimsOf(
  of: VouchedFor,
  by: VouchedIssuer,
  { seconds, resources }: { readonly seconds: number; readonly resources: readonly string[] },
): JsonObject | string {
  const { subject, claims, said, issuer } = of;
  const ours = by.issuer;
  // An `aud` of ours would hide the issuer's own claim of the audience.
  const aud = saysAudience(claims, by) ? {} : { aud: resources };
  const filled = { ...aud, exp: (Math.floor(seconds / HOUR) + 2) * HOUR };
  if (claims === null) {
    const { username, groups, scopes } = said;
    return {
      ...filled,
      iss: ours,
      sub: subject,
      username: username ?? null,
      groups: groups ?? [],
      scope: scopes ?? [],
    };
  }
  if (Object.values(said).some((value) => value !== undefined))
    return "facts are said twice: in claims and beside them";
  if ("iss" in claims && claims["iss"] !== (issuer ?? ours)) return "iss is another than the subject's issuer";
  return withSubject({ ...filled, ...claims }, subject, subjectPath(by.claims));
}

/** `sub` is filled in; another claim of the subject must be there, as in a token. */
function withSubject(claims: JsonObject, subject: string, path: string): JsonObject | string {
  const said = claimAt(claims, path);
  if (said !== undefined && said !== subject) return `${path} is another than the subject's id`;
  return path === "sub" ? { ...claims, sub: subject } : claims;
}
