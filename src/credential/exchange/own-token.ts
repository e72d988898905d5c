// One request for a token of the gateway's own (RFC 6749 §4.4), and what its answer must be. I/O through the endpoint.
import type { HttpAnswer } from "../../http/client.ts";
import { isPlainText } from "../../jose/act-claim.ts";
import { readToken } from "../../jose/compact.ts";
import type { JsonObject, JsonValue } from "../../json/types.ts";
import type { ProveClient } from "./client-auth.ts";
import { statusAndCode } from "./errors.ts";
import { isTokenText, looksLikeJwt } from "./exchanged-token.ts";
import { lifeOf, type Life } from "./lifetime.ts";
import { clientCredentialsForm, provenForm, type OwnTokenTarget } from "./request.ts";
import { faultOfGrant, jsonOf, NOT_JSON, secondsOf } from "./response.ts";
import type { TokenEndpoint } from "./token-endpoint.ts";

/** A token of the gateway's own. */
export interface OwnToken {
  readonly token: string;
  /** `sub` of the token; the client's id if it is opaque or has none. */
  readonly subject: string;
  readonly life: Life;
  /** Milliseconds since the epoch. */
  readonly askedAt: number;
}

export interface OwnTokenRequest {
  readonly endpoint: TokenEndpoint;
  readonly prove: ProveClient;
  readonly clientId: string;
  readonly target: OwnTokenTarget;
  readonly timeoutMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** For what the IdP gives the client unasked. */
export const NO_TARGET: OwnTokenTarget = { scope: null, audience: null, resource: null };

/** Asks once. Returns the token, or the reason for which there is none. Never throws. */
export async function askForOwnToken(request: OwnTokenRequest): Promise<OwnToken | string> {
  const { endpoint, prove, target, timeoutMs, now } = request;
  const proof = prove();
  if (typeof proof === "string") return proof;
  const askedAt = now();
  const form = provenForm(clientCredentialsForm(target), proof);
  const answer = await endpoint.post(form, proof.authorization, timeoutMs);
  return typeof answer === "string" ? answer : readOwnToken(answer, request, askedAt);
}

function readOwnToken(answer: HttpAnswer, request: OwnTokenRequest, askedAt: number): OwnToken | string {
  const json = jsonOf(answer);
  if (answer.status !== 200)
    return `the token endpoint answered ${statusAndCode(answer.status, json?.["error"])} to client_credentials: see client`;
  if (json === null) return NOT_JSON;
  return faultOfGrant(json) ?? ownTokenOf(json, request, askedAt);
}

function ownTokenOf(json: JsonObject, request: OwnTokenRequest, askedAt: number): OwnToken | string {
  const { access_token: token, expires_in: seconds } = json;
  if (!isTokenText(token)) return "access_token is not up to 16 KiB of visible ASCII";
  const read = looksLikeJwt(token) ? readToken(token) : null;
  if (typeof read === "string") return `access_token is no JWT in its strict form (${read})`;
  const { sub, exp, cnf, aud } = read?.payload ?? {};
  if (cnf !== undefined) return "the token is bound to a key";
  // An IdP that does not know `audience` or `resource` ignores it: the token would be for somebody else.
  const wanted = read === null ? undefined : missingAudience(aud, request.target);
  if (wanted !== undefined) return `the token's aud does not name the configured ${wanted}`;
  const tokenExp = typeof exp === "number" ? exp : null;
  const times = { askedAt, now: request.now() };
  const life = lifeOf({ expiresIn: secondsOf(seconds), tokenExp, subjectExp: Infinity, ...times });
  if (life === null) return "the token's life is over already";
  // RFC 9068 §2.2: without a user, `sub` is the client. An opaque token shows no `sub`, so the client id stands for it.
  return { token, subject: isPlainText(sub) ? sub : request.clientId, life, askedAt };
}

function missingAudience(aud: JsonValue | undefined, target: OwnTokenTarget): "audience" | "resource" | undefined {
  const audiences = Array.isArray(aud) ? (aud as readonly JsonValue[]) : [aud];
  return (["audience", "resource"] as const).find((key) => target[key] !== null && !audiences.includes(target[key]));
}
