// Checks an exchanged access token: form, audience, subject, actor (RFC 8693 §4.1, RFC 9068). Pure.
import { actorsOf, isParty } from "../../jose/act-claim.ts";
import { readToken } from "../../jose/compact.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import type { Profile } from "./errors.ts";
import { JWT_TYPE } from "./request.ts";
import { scopeNames } from "./scope.ts";

/** Visible ASCII: RFC 6750's b64token, and the other characters that IdPs use. No space can split the header's value. */
const FORM = /^[\x21-\x7e]{1,16384}$/;

/** The values that an exchanged token must agree with. */
export interface TokenExpectation {
  readonly profile: Profile;
  readonly audience: string;
  /** `sub` of the caller, whose token was exchanged. */
  readonly subject: string;
  readonly subjectToken: string;
  /** The actor that the token must name; null for an impersonation. */
  readonly actor: string | null;
  /** Actors of the caller's own token, the current one first. */
  readonly before: readonly string[];
}

export interface TokenFacts {
  /** Seconds since the epoch; null for a token that only its issuer can read. */
  readonly expiresAt: number | null;
  readonly scopes: readonly string[];
  /** Actors in `act`, the current one first. */
  readonly actors: readonly string[];
}

/**
 * Checks the token, or returns its fault. The signature is left to the server: the token came from the configured endpoint.
 * An opaque token cannot be checked; it is used for the requested audience only (threat model: H02).
 */
export function checkToken(
  token: JsonValue | undefined,
  issuedTokenType: string,
  expected: TokenExpectation,
): TokenFacts | string {
  if (!isTokenText(token)) return "access_token is not up to 16 KiB of visible ASCII";
  if (isSameToken(token, expected.subjectToken)) return "the answer holds the caller's own token";
  const mustBeJwt = issuedTokenType === JWT_TYPE || expected.profile === "keycloak";
  if (expected.actor !== null && !looksLikeJwt(token))
    return "the token is no JWT: whether it names the actor is unknown";
  if (!mustBeJwt && !looksLikeJwt(token)) return { expiresAt: null, scopes: [], actors: [] };
  const read = readToken(token);
  if (typeof read === "string") return `access_token is no JWT in its strict form (${read})`;
  return faultOfClaims(read.payload, expected) ?? factsOf(read.payload);
}

/** True if both tokens have the same signed part: a signature has several spellings (threat model: M5). */
function isSameToken(a: string, b: string): boolean {
  if (a === b) return true;
  const signed = (token: string) => token.slice(0, token.lastIndexOf("."));
  return a.includes(".") && b.includes(".") && signed(a) === signed(b);
}

export function isTokenText(token: JsonValue | undefined): token is string {
  return typeof token === "string" && FORM.test(token);
}

/** True for a token that looks like a JWT (RFC 8693 §3). Lenient, so that a JWT with an odd spelling is checked too. */
export function looksLikeJwt(token: string): boolean {
  const [header = "", ...rest] = token.split(".");
  return rest.length === 2 && Buffer.from(header, "base64url").toString("latin1").trimStart().startsWith("{");
}

function faultOfClaims(claims: JsonObject, expected: TokenExpectation): string | null {
  const { audience, subject, actor, profile } = expected;
  const { aud, sub, cnf, typ } = claims;
  const audiences = Array.isArray(aud) ? (aud as readonly JsonValue[]) : [aud];
  if (!audiences.includes(audience)) return "the token's aud does not name the configured audience";
  if (sub !== undefined && sub !== subject) return "the token's sub is not the caller";
  // RFC 8693 §4.1: an IdP that ignores actor_token returns an impersonation token, which was not requested.
  if (actor !== null && sub === undefined) return "the token has no sub";
  if (actor !== null && !isActing(claims, actor, expected.before))
    return "the IdP ignored the actor: the token's act.sub is not the gateway; see mode";
  // RFC 9449 §7.1, RFC 8705 §3: a bound token cannot be used without its proof.
  if (cnf !== undefined) return "the token is bound to a key";
  // Keycloak's ID and refresh tokens differ from access tokens in this claim only.
  if (profile === "keycloak" && typ !== "Bearer") return "the token's typ is not Bearer";
  return null;
}

/** True if this exchange made the gateway the actor. A chain that the caller's token had already does not prove it. */
function isActing(claims: JsonObject, actor: string, before: readonly string[]): boolean {
  if (!isParty(claims["act"], actor, claims["iss"])) return false;
  return before[0] !== actor || actorsOf(claims).length > before.length;
}

function factsOf(claims: JsonObject): TokenFacts | string {
  const { exp, scope, scp } = claims;
  if (exp !== undefined && !(Number.isSafeInteger(exp) && (exp as number) > 0)) return "the token's exp is malformed";
  const scopes = scopeNames(scope ?? scp ?? "");
  if (scopes === null) return "the token's scope is malformed";
  return { expiresAt: typeof exp === "number" ? exp : null, scopes, actors: actorsOf(claims) };
}
