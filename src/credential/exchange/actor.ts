// The gateway's own token (RFC 6749 §4.4), the actor token of a delegation (RFC 8693 §1.1, §2.1). I/O through the endpoint.
import { singleFlight } from "../../async/single-flight.ts";
import { isPlainText } from "../../jose/act-claim.ts";
import { readToken } from "../../jose/compact.ts";
import type { HttpAnswer } from "../../http/client.ts";
import type { JsonObject } from "../../json/types.ts";
import { faultOfGrant, jsonOf, NOT_JSON } from "./response.ts";
import { statusAndCode } from "./errors.ts";
import { isTokenText, looksLikeJwt } from "./exchanged-token.ts";
import { lifeOf, type Life } from "./lifetime.ts";
import { basicCredentials, CLIENT_CREDENTIALS_FORM, type ExchangeClient } from "./request.ts";
import type { TokenEndpoint } from "./token-endpoint.ts";

/** The gateway's own token, which makes it the actor of an exchange. */
export interface ActorToken {
  readonly token: string;
  /** The value that the IdP should put into `act.sub`. */
  readonly subject: string;
}

export interface Actor {
  /** Returns a valid token, or the reason for which there is none. Concurrent calls share one request. */
  get(): Promise<ActorToken | string>;
  /** Reports that an exchange with this token was refused: the next exchange gets a new token, unless this one is new. */
  drop(token: ActorToken): void;
}

export interface ActorDeps {
  readonly endpoint: TokenEndpoint;
  readonly client: ExchangeClient;
  readonly timeoutMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Called after each request for a token, with the fault or null. */
  readonly onResult: (fault: string | null) => void;
}

/** The cached token. */
interface OwnToken extends ActorToken {
  readonly life: Life;
  readonly askedAt: number;
}

/** A younger token is not dropped after a refusal: a caller that is always refused must not cost a token each time. */
const MIN_USE_MS = 30_000;

/** Caches the gateway's own token until shortly before its end. Same client and endpoint as the exchange. */
export function createActor({ endpoint, client, timeoutMs, now, onResult }: ActorDeps): Actor {
  const authorization = basicCredentials(client);
  let current: OwnToken | null = null;

  const ask = singleFlight(async (): Promise<OwnToken | string> => {
    const askedAt = now();
    const answer = await endpoint.post(CLIENT_CREDENTIALS_FORM, authorization, timeoutMs);
    const read = typeof answer === "string" ? answer : readOwnToken(answer, client.id, { askedAt, now: now() });
    if (typeof read !== "string") current = read;
    onResult(typeof read === "string" ? read : null);
    return read;
  });

  return {
    async get() {
      return current !== null && now() < current.life.endsAt ? current : ask();
    },
    drop(token) {
      if (current?.token === token.token && now() - current.askedAt >= MIN_USE_MS) current = null;
    },
  };
}

/** Milliseconds since the epoch. */
interface Times {
  readonly askedAt: number;
  readonly now: number;
}

function readOwnToken(answer: HttpAnswer, clientId: string, times: Times): OwnToken | string {
  const json = jsonOf(answer);
  if (answer.status !== 200)
    return `the token endpoint answered ${statusAndCode(answer.status, json?.["error"])} to client_credentials: see client`;
  if (json === null) return NOT_JSON;
  return faultOfGrant(json) ?? ownTokenOf(json, clientId, times);
}

function ownTokenOf(
  { access_token: token, expires_in: seconds }: JsonObject,
  clientId: string,
  times: Times,
): OwnToken | string {
  if (!isTokenText(token)) return "access_token is not up to 16 KiB of visible ASCII";
  const read = looksLikeJwt(token) ? readToken(token) : null;
  if (typeof read === "string") return `access_token is no JWT in its strict form (${read})`;
  const { sub, exp, cnf } = read?.payload ?? {};
  if (cnf !== undefined) return "the token is bound to a key";
  const expiresIn = typeof seconds === "number" ? seconds : null;
  const life = lifeOf({ expiresIn, tokenExp: typeof exp === "number" ? exp : null, subjectExp: Infinity, ...times });
  if (life === null) return "the token's life is over already";
  // RFC 9068 §2.2: without a user, `sub` is the client. An opaque token shows no `sub`, so the client id stands for it.
  return { token, subject: isPlainText(sub) ? sub : clientId, life, askedAt: times.askedAt };
}
