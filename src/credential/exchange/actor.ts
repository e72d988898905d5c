import { singleFlight } from "../../async/single-flight.ts";
import { isPlainText } from "../../jose/act-claim.ts";
import { readToken } from "../../jose/compact.ts";
import type { HttpAnswer } from "../../http/client.ts";
import type { JsonObject } from "../../json/types.ts";
import { faultOfGrant, jsonOf, NOT_JSON } from "./answer.ts";
import { statusAndCode } from "./errors.ts";
import { isTokenText, looksLikeJwt } from "./exchanged-token.ts";
import { lifeOf, type Life } from "./lifetime.ts";
import { basicCredentials, CLIENT_CREDENTIALS_FORM, type ExchangeClient } from "./request.ts";
import type { TokenEndpoint } from "./token-endpoint.ts";

/** The gateway's own token, by which it is the actor of an exchange (RFC 8693 §1.1, §2.1). */
export interface ActorToken {
  readonly token: string;
  /** Whom the IdP should name in `act.sub`. */
  readonly subject: string;
}

export interface Actor {
  /** A token that lives, or why there is none. Asked for once, however many wait for it. */
  get(): Promise<ActorToken | string>;
  /** Something was refused that was asked with this token: the next caller asks with a new one, unless it is new. */
  drop(token: ActorToken): void;
}

export interface ActorDeps {
  readonly endpoint: TokenEndpoint;
  readonly client: ExchangeClient;
  readonly timeoutMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Told how each question for a token ended: null, or what was wrong. */
  readonly onAsked: (fault: string | null) => void;
}

interface Held extends ActorToken {
  readonly life: Life;
  readonly askedAt: number;
}

/** A token that was used for less is not what is wrong: a caller who is refused each time must not cost one each time. */
const MIN_USE_MS = 30_000;

/** Keeps the gateway's own token (RFC 6749 §4.4, same client and endpoint as the exchange) until shortly before its end. */
export function createActor({ endpoint, client, timeoutMs, now, onAsked }: ActorDeps): Actor {
  const authorization = basicCredentials(client);
  let held: Held | null = null;

  const ask = singleFlight(async (): Promise<Held | string> => {
    const askedAt = now();
    const answer = await endpoint.post(CLIENT_CREDENTIALS_FORM, authorization, timeoutMs);
    const read = typeof answer === "string" ? answer : readOwnToken(answer, client.id, { askedAt, now: now() });
    if (typeof read !== "string") held = read;
    onAsked(typeof read === "string" ? read : null);
    return read;
  });

  return {
    async get() {
      return held !== null && now() < held.life.endsAt ? held : ask();
    },
    drop(token) {
      if (held?.token === token.token && now() - held.askedAt >= MIN_USE_MS) held = null;
    },
  };
}

interface Times {
  readonly askedAt: number;
  readonly now: number;
}

function readOwnToken(answer: HttpAnswer, clientId: string, times: Times): Held | string {
  const json = jsonOf(answer);
  if (answer.status !== 200)
    return `the token endpoint answered ${statusAndCode(answer.status, json?.["error"])} to client_credentials: see client`;
  if (json === null) return NOT_JSON;
  return faultOfGrant(json) ?? heldOf(json, clientId, times);
}

function heldOf(
  { access_token: token, expires_in: seconds }: JsonObject,
  clientId: string,
  times: Times,
): Held | string {
  if (!isTokenText(token)) return "access_token is not up to 16 KiB of visible ASCII";
  const read = looksLikeJwt(token) ? readToken(token) : null;
  if (typeof read === "string") return `access_token is no JWT in its strict form (${read})`;
  const { sub, exp, cnf } = read?.payload ?? {};
  if (cnf !== undefined) return "the token is bound to a key";
  const expiresIn = typeof seconds === "number" ? seconds : null;
  const life = lifeOf({ expiresIn, tokenExp: typeof exp === "number" ? exp : null, subjectExp: Infinity, ...times });
  if (life === null) return "the token's life is over already";
  // RFC 9068 §2.2: without a user, `sub` is the client. Of an opaque token we know no more than whose it is.
  return { token, subject: isPlainText(sub) ? sub : clientId, life, askedAt: times.askedAt };
}
