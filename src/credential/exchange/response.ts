// Reads a token exchange response (RFC 8693 §2.2) and holds it against the request. Pure.
import type { HttpAnswer } from "../../http/client.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { readJson } from "../../json/strict-reader.ts";
import { readError } from "./errors.ts";
import { checkToken, type TokenExpectation } from "./exchanged-token.ts";
import { lifeOf, type Life } from "./lifetime.ts";
import { ACCESS_TOKEN_TYPE, JWT_TYPE } from "./request.ts";
import { scopeNames, printableScopes, secretFilter } from "./scope.ts";

/** Actors of a chain that the audit line names. */
const MAX_ACTORS = 4;

/** The values that a response must agree with: configuration, caller and clock. */
export interface Expectation extends TokenExpectation {
  readonly scope: string | null;
  readonly allowScopes: readonly string[];
  /** Texts that must not get into a log, beside the tokens. */
  readonly secrets: readonly string[];
  /** `exp` of the caller's token: seconds since the epoch. */
  readonly subjectExp: number;
  /** Time of the request and current time: milliseconds since the epoch. */
  readonly askedAt: number;
  readonly now: number;
}

/** The result of an exchange. */
export type ExchangeResult =
  /** `actors`: those of the token, the current one first (RFC 8693 §4.1). */
  | { readonly granted: string; readonly life: Life; readonly actors: readonly string[] }
  | { readonly refused: string }
  | { readonly cannotTell: string };

/** A response is a token and a few members. */
const LIMITS = { maxDepth: 16, maxMembers: 1000 };
export const NOT_JSON = "the answer is not one strict JSON object";
const JSON_TYPE = /^application\/json[ \t]*(?:;|$)/i;

/**
 * Reads a response. *Granted* is only a bearer access token for this caller and this audience, with no scope beyond the
 * configured ones; *refused* is only an error that is plainly about this caller; all else is *cannot tell*.
 */
export function readResponse(answer: HttpAnswer, expected: Expectation): ExchangeResult {
  const json = jsonOf(answer);
  if (answer.status !== 200) return readError(answer.status, json?.["error"], expected.profile);
  if (json === null) return { cannotTell: NOT_JSON };
  const read = readGrant(json, expected);
  return typeof read === "string" ? { cannotTell: read } : read;
}

export function jsonOf({ headers, body }: HttpAnswer): JsonObject | null {
  if (!JSON_TYPE.test(headers["content-type"] ?? "")) return null;
  const json = readJson(body, LIMITS);
  if (!json.ok || typeof json.value !== "object" || json.value === null || Array.isArray(json.value)) return null;
  return json.value as JsonObject;
}

function readGrant(json: JsonObject, expected: Expectation): ExchangeResult | string {
  const { access_token: token, issued_token_type: issued, expires_in: expiresIn } = json;
  const fault = faultOfGrant(json);
  if (fault !== null) return fault;
  if (issued !== ACCESS_TOKEN_TYPE && issued !== JWT_TYPE) return "issued_token_type is not that of an access token";
  const facts = checkToken(token, issued, expected);
  if (typeof facts === "string") return facts;
  const scopes = grantedScopes(json["scope"], facts.scopes);
  if (scopes === null) return "scope is malformed";
  const tooWide = faultOfScope(scopes, expected, token as string);
  if (tooWide !== null) return tooWide;
  const { subjectExp, askedAt, now } = expected;
  const life = lifeOf({
    expiresIn: secondsOf(expiresIn),
    tokenExp: facts.expiresAt,
    subjectExp,
    askedAt,
    now,
  });
  if (life === null) return "the token's life is over already";
  const holdsSecret = secretFilter([token as string, expected.subjectToken, ...expected.secrets]);
  const actors = facts.actors.slice(0, MAX_ACTORS).map((name) => (holdsSecret(name) ? "(hidden)" : name));
  return { granted: token as string, life, actors };
}

/** Checks the members that every token response has (RFC 6749 §5.1); returns the fault, or null. */
export function faultOfGrant({ token_type: type, expires_in: expiresIn, error }: JsonObject): string | null {
  if (error !== undefined) return "the answer is 200 with an error";
  // Case-insensitive. N_A and DPoP are no bearer tokens (RFC 8693 §2.2.1, RFC 9449 §5).
  if (typeof type !== "string" || type.toLowerCase() !== "bearer") return "token_type is not Bearer";
  if (expiresIn !== undefined && secondsOf(expiresIn) === null)
    return "expires_in is not a positive whole number of seconds";
  return null;
}

/** Reads `expires_in`: a positive whole number, which some IdPs send as a text. Null for anything else. */
export function secondsOf(value: JsonValue | undefined): number | null {
  const seconds = typeof value === "string" && /^[1-9]\d{0,15}$/.test(value) ? Number(value) : value;
  return typeof seconds === "number" && Number.isSafeInteger(seconds) && seconds > 0 ? seconds : null;
}

/** The scopes in the response and in the token; null if `scope` of the response is malformed. */
function grantedScopes(scope: JsonValue | undefined, inToken: readonly string[]): ReadonlySet<string> | null {
  if (scope !== undefined && typeof scope !== "string") return null;
  return new Set([...(scopeNames(scope ?? "") ?? []), ...inToken]);
}

/** The fault of a grant with scopes that are not configured, or null. */
function faultOfScope(granted: ReadonlySet<string>, expected: Expectation, token: string): string | null {
  const allowed = new Set([...(scopeNames(expected.scope ?? "") ?? []), ...expected.allowScopes]);
  const wider = [...granted].filter((name) => !allowed.has(name));
  if (wider.length === 0) return null;
  const names = printableScopes(wider, [token, expected.subjectToken, ...expected.secrets]);
  return `granted beyond scope and allowScopes: ${names}; if that is right, add it to allowScopes`;
}
