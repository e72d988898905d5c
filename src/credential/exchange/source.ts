import { hash } from "node:crypto";
import type { Identity } from "../../authz/types.ts";
import { isParty } from "../../jose/act-claim.ts";
import { cacheKey, type AnswerCache, type Kept } from "../answer-cache.ts";
import type { Answer, CredentialSource } from "../source.ts";
import { headerValue, type Placement } from "../static.ts";
import { readAnswer, type Expectation, type Reading } from "./answer.ts";
import type { Actor, ActorToken } from "./actor.ts";
import type { Profile } from "./errors.ts";
import { basicCredentials, exchangeForm, type ExchangeClient } from "./request.ts";
import type { TokenEndpoint } from "./token-endpoint.ts";

export interface ExchangeOptions extends Placement {
  /** Where it stands in the configuration, as `servers.github.credential[0]`: part of every cache key. */
  readonly entry: string;
  /** The issuer whose tokens go to this endpoint; null for the only one that is configured. */
  readonly issuer: string | null;
  readonly profile: Profile;
  readonly client: ExchangeClient;
  readonly audience: string;
  readonly scope: string | null;
  /** Accepted when granted beside `scope`. */
  readonly allowScopes: readonly string[];
  readonly timeoutMs: number;
  readonly negativeTtlMs: number;
}

export type ExchangeOutcome = "ok" | "none" | "unavailable";

export interface ExchangeDeps {
  readonly endpoint: TokenEndpoint;
  readonly cache: AnswerCache;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Who acts for the caller (`mode: delegation`); without one the exchange is an impersonation. */
  readonly actor?: Actor;
  /** Told how every exchange ended, however many callers waited for it. */
  readonly onOutcome: (outcome: ExchangeOutcome) => void;
}

const NOT_THE_ACTOR: Reading = { refused: "may_act of the caller's token does not name the gateway" };
const OTHER_ISSUER: Answer = { hasNone: "the caller's token is of another issuer" };

/**
 * The caller's own token, exchanged for one of the server's audience (RFC 8693). The exchanged token is the only thing
 * that this gives: whatever goes wrong, it is never the caller's token, and never the next kind of the chain (H12).
 */
export function exchangeSource(options: ExchangeOptions, deps: ExchangeDeps): CredentialSource {
  const authorization = basicCredentials(options.client);
  const secrets = [options.client.secret.reveal(), authorization];

  async function exchange(identity: Identity): Promise<Kept> {
    const reading = await readFor(identity);
    deps.onOutcome(outcomeOf(reading));
    if ("cannotTell" in reading) return { answer: reading, ttlMs: 0 };
    if ("refused" in reading) return { answer: reading, ttlMs: options.negativeTtlMs };
    const value = headerValue(options.scheme, reading.granted);
    const { actors } = reading;
    const origin = { audience: options.audience, ...(actors.length > 0 && { actors }) };
    const found = Object.freeze({ kind: "exchange" as const, header: options.header, value, origin });
    return { answer: { found }, ...reading.life };
  }

  async function readFor(identity: Identity): Promise<Reading> {
    if (deps.actor === undefined) return ask(identity, null);
    const actor = await deps.actor.get();
    if (typeof actor === "string") return { cannotTell: `the gateway's own token: ${actor}` };
    if (!mayAct(identity, actor)) return NOT_THE_ACTOR;
    const reading = await ask(identity, actor);
    if ("refused" in reading) deps.actor.drop(actor); // it may be our token that ended early
    return reading;
  }

  async function ask(identity: Identity, actor: ActorToken | null): Promise<Reading> {
    const askedAt = deps.now();
    const subjectToken = identity.token.reveal();
    const { profile, audience, scope, allowScopes } = options;
    const form = exchangeForm({ audience, scope, subjectToken, actorToken: actor?.token ?? null });
    const answer = await deps.endpoint.post(form, authorization, options.timeoutMs);
    if (typeof answer === "string") return { cannotTell: answer };
    const { subject, expiresAt: subjectExp } = identity;
    const hidden = actor === null ? secrets : [...secrets, actor.token];
    const configured = { profile, audience, scope, allowScopes, secrets: hidden };
    const caller = { subject, subjectToken, subjectExp, actor: actor?.subject ?? null, before: identity.actors };
    const expected: Expectation = { ...configured, ...caller, askedAt, now: deps.now() };
    return readAnswer(answer, expected);
  }

  return {
    kind: "exchange",
    get(identity, signal) {
      // What it is shown, an IdP could use as the caller: at this gateway, too.
      if (options.issuer !== null && identity.issuer !== options.issuer) return OTHER_ISSUER;
      // Its verification allows for clocks that differ; whether it is over, we cannot tell (design 5.7).
      if (identity.expiresAt * 1000 <= deps.now()) return { cannotTell: "the caller's token is about to end" };
      return deps.cache.get({ key: keyOf(options, deps, identity), identity, ask: () => exchange(identity) }, signal);
    },
  };
}

/** Everything that an answer depends on (design 5.8). */
function keyOf({ entry, audience, scope, client }: ExchangeOptions, deps: ExchangeDeps, identity: Identity): string {
  const mode = deps.actor === undefined ? "impersonation" : "delegation";
  const subjectToken = hash("sha256", identity.token.reveal(), "base64url");
  const { issuer, subject } = identity;
  return cacheKey(
    "exchange",
    mode,
    entry,
    deps.endpoint.url,
    client.id,
    audience,
    scope,
    issuer,
    subject,
    subjectToken,
  );
}

/** RFC 8693 §4.4: where the token says who may act for its subject, nobody else may. */
function mayAct({ claims, issuer }: Identity, { subject }: ActorToken): boolean {
  return !("may_act" in claims) || isParty(claims["may_act"], subject, issuer);
}

function outcomeOf(reading: Reading): ExchangeOutcome {
  if ("granted" in reading) return "ok";
  return "refused" in reading ? "none" : "unavailable";
}
