// Checks the claims of an access token (RFC 7519, RFC 9068) and reads the ones that the gateway uses. Pure.
import { isPlainText, partyOf } from "../jose/act-claim.ts";
import { claimAt, claimName } from "../jose/claim.ts";
import { isObject } from "../json/object.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";

export interface ClaimPaths {
  /** Each path is a claim's name, or a JSON Pointer (RFC 6901) if it begins with "/". Absent: `sub`. */
  readonly subject?: string;
  readonly username: string;
  readonly groups: string;
  readonly scopes: string;
}

/** The claim that tells programs from people. */
export interface MachineRule {
  /** A claim's name, or a JSON Pointer if it begins with "/". */
  readonly claim: string;
  /** Values of a program; a claim with several values is one's if one of them is here. */
  readonly values: readonly string[];
}

/** The settings by which an issuer's claims are read. */
export interface ClaimRules {
  readonly claims: ClaimPaths;
  /** Read for the audience where a token has no `aud`; null: such a token is refused. */
  readonly audienceClaim?: string | null;
  readonly tokenType: "at+jwt" | "jwt";
  /** Whether tokens may be bound to a key. */
  readonly dpop?: "off" | "accepted" | "required";
  /** The claim that tells programs from people; without it, the signs of known issuers. */
  readonly machine?: MachineRule | null;
}

/** The claims that the gateway uses, with their types checked. */
export interface CheckedClaims {
  readonly subject: string;
  readonly audiences: readonly string[];
  /** Seconds since the epoch. */
  readonly expiresAt: number;
  readonly notBefore: number | null;
  readonly username: string | null;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  /** Thumbprint of the key to which the token is bound (RFC 9449 §6.1); null for none. */
  readonly jkt: string | null;
}

export const MAX_LIFETIME_SECONDS = 24 * 3600;
/** Tolerance for clocks that differ (RFC 7519 §4.1.4). */
export const SKEW_SECONDS = 60;
export const MAX_LIST = 2048;
const POLLUTING = new Set(["__proto__", "constructor", "prototype"]);
/** Claims of ID, logout and refresh tokens only (OpenID Connect Core §2, Back-Channel Logout §2.4). */
const ID_TOKEN_CLAIMS = ["nonce", "at_hash", "c_hash", "s_hash", "events"];
const OTHER_PAYLOAD_TYPES = new Set(["ID", "Refresh", "Offline", "Logout"]);

/**
 * Checks types and bounds of the claims, or returns the first fault. The library jose accepts a fractional or endless `exp`,
 * any `sub` and duplicate claims (threat model: M6); policy and caches need exact ones.
 * @param now seconds since the epoch
 */
export function checkClaims(claims: JsonObject, rules: ClaimRules, now: number): CheckedClaims | string {
  if (pollutes(claims)) return "a name that is no claim's";
  const fault = faultOfKind(claims, rules) ?? faultOfTimes(claims, now) ?? readElsewhere(claims, rules);
  if (fault !== null) return fault;
  return usedClaims(claims, rules);
}

/** The claim that says who a caller is. */
export function subjectPath({ subject = "sub" }: ClaimPaths): string {
  return subject;
}

function usedClaims(claims: JsonObject, rules: ClaimRules): CheckedClaims | string {
  const { exp, nbf } = claims;
  const paths = rules.claims;
  const subject = claimAt(claims, subjectPath(paths));
  if (!isPlainText(subject)) return `${subjectPath(paths)} (subject)`;
  if (!isTime(exp)) return "exp";
  const audiences = audiencesOf(claims, rules.audienceClaim ?? null);
  if (typeof audiences === "string") return audiences;
  const groups = textList(claimAt(claims, paths.groups) ?? []);
  if (groups === null) return `${paths.groups} is no list of texts (groups)`;
  const scopes = scopeList(claims, paths.scopes);
  if (scopes === null) return `${paths.scopes} is no list of texts (scopes)`;
  const username = claimAt(claims, paths.username) ?? null;
  if (username !== null && !isPlainText(username)) return `${paths.username} is no plain text (username)`;
  const notBefore = isTime(nbf) ? Math.ceil(nbf) : null;
  const times = { expiresAt: Math.floor(exp), notBefore };
  return { subject, audiences, ...times, username, groups, scopes, jkt: thumbprintOf(claims) };
}

/** An `aud` always counts; another claim stands in only where there is none. @returns the claim at fault */
function audiencesOf(claims: JsonObject, instead: string | null): readonly string[] | string {
  const isInstead = instead !== null && !("aud" in claims);
  const audiences = textList(isInstead ? claimAt(claims, instead) : claims["aud"]);
  const isUsable = audiences !== null && audiences.length > 0 && audiences.every((audience) => audience !== "");
  return isUsable ? audiences : isInstead ? `${instead} (audienceClaim)` : "aud";
}

/**
 * The first claim that the configuration reads and that the issuer keeps elsewhere (OpenID Connect Core §5.6.2). Entra ID does
 * so with many groups (overage): a policy could take them for no membership. Claims that nobody reads may be anywhere.
 */
function readElsewhere(claims: JsonObject, { claims: paths, audienceClaim = null }: ClaimRules): string | null {
  const names = claims["_claim_names"];
  const isNamed = isObject(names);
  if (!isNamed && (names !== undefined || "_claim_sources" in claims)) return "_claim_names";
  const isElsewhere = (name: string) =>
    (isNamed && Object.hasOwn(names, name)) || (name === "groups" && isSet(claims["hasgroups"]));
  const read = [
    subjectPath(paths),
    paths.groups,
    paths.username,
    paths.scopes,
    ...(paths.scopes === "scope" ? ["scp"] : []),
    audienceClaim ?? "aud",
  ];
  const missing = read.map(claimName).find(isElsewhere);
  return missing === undefined ? null : `${missing} is not in the token: the issuer keeps it elsewhere (overage)`;
}

function isSet(value: JsonValue | undefined): boolean {
  return value !== undefined && value !== false && value !== null;
}

function faultOfTimes({ exp, iat, nbf }: JsonObject, now: number): string | null {
  if (!isTime(exp)) return "exp";
  if (nbf !== undefined && !isTime(nbf)) return "nbf";
  if (iat !== undefined && !isTime(iat)) return "iat";
  if (iat !== undefined && iat > now + SKEW_SECONDS) return "iat is in the future, if this machine's clock is right";
  const from = isTime(iat) ? iat : now - SKEW_SECONDS;
  return exp - from > MAX_LIFETIME_SECONDS + SKEW_SECONDS ? "lifetime" : null;
}

function faultOfKind(claims: JsonObject, { tokenType, dpop = "off" }: ClaimRules): string | null {
  // RFC 9449 §7.1, RFC 8705 §3: a bound token without its proof is not a bearer token.
  if ("cnf" in claims && (dpop === "off" || thumbprintOf(claims) === null)) return "the token is bound to a key";
  // RFC 8693 §4.1, §4.4. Policy and audit depend on the actor: a malformed claim must not be read as no actor.
  for (const name of ["act", "may_act"]) if (name in claims && partyOf(claims[name]) === undefined) return name;
  return tokenType === "at+jwt" || !isOtherToken(claims) ? null : "an ID, refresh or logout token";
}

/** `cnf.jkt` of a `cnf` without anything else: another member would be another proof, which nobody checks. */
function thumbprintOf({ cnf }: JsonObject): string | null {
  if (typeof cnf !== "object" || cnf === null || Array.isArray(cnf)) return null;
  const { jkt } = cnf as JsonObject;
  const isAlone = Object.keys(cnf).length === 1;
  return isAlone && typeof jkt === "string" && /^[A-Za-z0-9_-]{43}$/.test(jkt) ? jkt : null;
}

/** True for a JWT that its claims say is no access token. */
function isOtherToken(claims: JsonObject): boolean {
  const { typ, token_use: use } = claims;
  if (ID_TOKEN_CLAIMS.some((name) => name in claims)) return true;
  if (typeof typ === "string" && OTHER_PAYLOAD_TYPES.has(typ)) return true;
  // Amazon Cognito says in `token_use` what a token is for.
  return use !== undefined && (typeof use !== "string" || !/^access/i.test(use));
}

function pollutes(value: JsonValue): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return (value as readonly JsonValue[]).some(pollutes);
  return Object.entries(value as JsonObject).some(([name, item]) => POLLUTING.has(name) || pollutes(item));
}

/** A NumericDate, which may have a fraction (RFC 7519 §2). */
function isTime(value: JsonValue | undefined): value is number {
  return typeof value === "number" && value >= 1 && value <= Number.MAX_SAFE_INTEGER;
}

/** A string, or an array of strings. */
function textList(value: JsonValue | undefined): readonly string[] | null {
  const list = Array.isArray(value) ? (value as readonly JsonValue[]) : [value];
  if (list.length > MAX_LIST) return null;
  return list.every((item): item is string => typeof item === "string") ? list : null;
}

/** RFC 8693 §4.2's `scope` string; some issuers send an array, or call it `scp`. */
function scopeList(claims: JsonObject, path: string): readonly string[] | null {
  const value = claimAt(claims, path) ?? (path === "scope" ? claims["scp"] : undefined);
  if (value === undefined || value === null) return [];
  if (typeof value === "string") return value.split(" ").filter((scope) => scope !== "");
  return textList(value);
}

/** The configured claims that a token does not have, each with what it is read for. */
export function absentClaims(claims: JsonObject, paths: ClaimPaths): string[] {
  const uses = ["username", "groups", "scopes"] as const;
  const isAbsent = (path: string) => claimAt(claims, path) === undefined && !(path === "scope" && "scp" in claims);
  return uses.flatMap((use) => (isAbsent(paths[use]) ? [`${paths[use]} (${use})`] : []));
}
