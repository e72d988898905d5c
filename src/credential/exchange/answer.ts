import type { HttpAnswer } from "../../http/client.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import { readJson } from "../../json/strict-reader.ts";
import { readError } from "./errors.ts";
import { checkToken, type TokenExpectation } from "./exchanged-token.ts";
import { lifeOf, type Life } from "./lifetime.ts";
import { ACCESS_TOKEN_TYPE, JWT_TYPE } from "./request.ts";
import { scopeNames, scopesForPeople, tellsOf } from "./scope.ts";

/** Of a chain, what the audit line names. */
const MAX_ACTORS = 4;

/** What an answer is held against: the configuration, the caller, and the clock. */
export interface Expectation extends TokenExpectation {
  readonly scope: string | null;
  readonly allowScopes: readonly string[];
  /** What must not stand in a log, beside the tokens. */
  readonly secrets: readonly string[];
  /** Of the caller's token: seconds since the epoch. */
  readonly subjectExp: number;
  /** When the request left and what time it is: milliseconds since the epoch. */
  readonly askedAt: number;
  readonly now: number;
}

/** What the token endpoint said. */
export type Reading =
  /** Who acts by the token, the current one first. */
  | { readonly granted: string; readonly life: Life; readonly actors: readonly string[] }
  | { readonly refused: string }
  | { readonly cannotTell: string };

/** RFC 8693 answers are a token and a few words. */
const LIMITS = { maxDepth: 16, maxMembers: 1000 };
export const NOT_JSON = "the answer is not one strict JSON object";
const JSON_TYPE = /^application\/json[ \t]*(?:;|$)/i;

/**
 * Reads an answer of the token endpoint (RFC 8693 §2.2). Only a bearer access token for this caller and this audience,
 * not wider than configured, is granted; whatever else is not plainly about this caller is *cannot tell*.
 */
export function readAnswer(answer: HttpAnswer, expected: Expectation): Reading {
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

function readGrant(json: JsonObject, expected: Expectation): Reading | string {
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
    expiresIn: (expiresIn as number | undefined) ?? null,
    tokenExp: facts.expiresAt,
    subjectExp,
    askedAt,
    now,
  });
  if (life === null) return "the token's life is over already";
  const tells = tellsOf([token as string, expected.subjectToken, ...expected.secrets]);
  const actors = facts.actors.slice(0, MAX_ACTORS).map((name) => (tells(name) ? "(hidden)" : name));
  return { granted: token as string, life, actors };
}

/** What holds for every token that is granted (RFC 6749 §5.1), or what is wrong. */
export function faultOfGrant({ token_type: type, expires_in: expiresIn, error }: JsonObject): string | null {
  if (error !== undefined) return "the answer is 200 with an error";
  // In any case. N_A and DPoP are no bearer tokens (RFC 8693 §2.2.1, RFC 9449 §5).
  if (typeof type !== "string" || type.toLowerCase() !== "bearer") return "token_type is not Bearer";
  if (expiresIn !== undefined && !isPositive(expiresIn)) return "expires_in is not a positive whole number of seconds";
  return null;
}

function isPositive(value: JsonValue): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

/** By the answer and by the token; null when the answer's word is malformed. */
function grantedScopes(said: JsonValue | undefined, inToken: readonly string[]): ReadonlySet<string> | null {
  if (said !== undefined && typeof said !== "string") return null;
  return new Set([...(scopeNames(said ?? "") ?? []), ...inToken]);
}

/** Design 5.7: what was granted must be configured. */
function faultOfScope(granted: ReadonlySet<string>, expected: Expectation, token: string): string | null {
  const allowed = new Set([...(scopeNames(expected.scope ?? "") ?? []), ...expected.allowScopes]);
  const wider = [...granted].filter((name) => !allowed.has(name));
  if (wider.length === 0) return null;
  const names = scopesForPeople(wider, [token, expected.subjectToken, ...expected.secrets]);
  return `granted beyond scope and allowScopes: ${names}; if that is right, add it to allowScopes`;
}
