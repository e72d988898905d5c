// The credential kind `exchange`: the caller's token, exchanged for one of the server's audience (RFC 8693). I/O through the
// token endpoint.
import { hash } from "node:crypto";
import type { TokenIdentity } from "../../authz/types.ts";
import { isParty } from "../../jose/act-claim.ts";
import { cacheKey, type LookupCache, type CacheEntry } from "../lookup-cache.ts";
import type { Lookup, CredentialSource } from "../source.ts";
import { headerValue, type Placement } from "../static.ts";
import { fillTemplate, readTemplate } from "../caller-text.ts";
import { readResponse, type Expectation, type ExchangeResult } from "./response.ts";
import type { Actor, ActorToken } from "./actor.ts";
import type { Profile } from "./errors.ts";
import { createClientAuth, type OAuthClient } from "./client-auth.ts";
import { exchangeForm, provenForm } from "./request.ts";
import type { TokenEndpoint } from "./token-endpoint.ts";

export interface ExchangeOptions extends Placement {
  /** Key in the configuration, such as `servers.github.credential[0]`: part of every cache key. */
  readonly entry: string;
  /** The issuer whose tokens are sent to this endpoint; null if only one is configured. */
  readonly issuer: string | null;
  readonly profile: Profile;
  readonly client: OAuthClient;
  readonly audience: string;
  readonly scope: string | null;
  /** Scopes that may be granted beside `scope`. */
  readonly allowScopes: readonly string[];
  readonly timeoutMs: number;
  readonly negativeTtlMs: number;
}

/** `audience` and `scope` for one caller: the templates of the configuration with her claims in them. */
type Target = Pick<ExchangeOptions, "audience" | "scope">;

export type ExchangeOutcome = "ok" | "none" | "unavailable";

export interface ExchangeDeps {
  readonly endpoint: TokenEndpoint;
  readonly cache: LookupCache;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The gateway as the actor (`mode: delegation`); without it the exchange is an impersonation. */
  readonly actor?: Actor;
  readonly aliasOf?: (issuer: string) => string | null;
  /** Called once for each exchange, however many callers wait for it. */
  readonly onOutcome: (outcome: ExchangeOutcome) => void;
}

const NOT_THE_ACTOR: ExchangeResult = { refused: "may_act of the caller's token does not name the gateway" };
const NO_TARGET: Lookup = { refused: "the caller's token has no usable value for audience or scope" };
const OTHER_ISSUER: Lookup = { hasNone: "the caller's token is of another issuer" };
const NO_TOKEN: Lookup = { hasNone: "the caller came without a token, and nothing else can be exchanged" };

/**
 * Makes the source. *Found* is only ever an exchanged token: a failed exchange never leads to the caller's own token, nor to
 * the next kind of the chain (threat model: H12).
 */
export function exchangeSource(options: ExchangeOptions, deps: ExchangeDeps): CredentialSource {
  const prove = createClientAuth(options.client, deps.endpoint.url, deps.now);
  const targetFor = createTargets(options, deps.aliasOf ?? (() => null));

  async function fetchLookup(identity: TokenIdentity, target: Target): Promise<CacheEntry> {
    const result = await exchangeFor(identity, target);
    deps.onOutcome(outcomeOf(result));
    return entryOf(result, { ...options, ...target });
  }

  async function exchangeFor(identity: TokenIdentity, target: Target): Promise<ExchangeResult> {
    if (deps.actor === undefined) return request(identity, target, null);
    const actor = await deps.actor.get();
    if (typeof actor === "string") return { cannotTell: `the gateway's own token: ${actor}` };
    if (!mayAct(identity, actor)) return NOT_THE_ACTOR;
    const result = await request(identity, target, actor);
    if ("refused" in result) deps.actor.drop(actor); // the gateway's own token may have been revoked
    return result;
  }

  async function request(
    identity: TokenIdentity,
    { audience, scope }: Target,
    actor: ActorToken | null,
  ): Promise<ExchangeResult> {
    const proof = prove();
    if (typeof proof === "string") return { cannotTell: proof };
    const askedAt = deps.now();
    const subjectToken = identity.token.reveal();
    const { profile, allowScopes } = options;
    const form = exchangeForm({ audience, scope, subjectToken, actorToken: actor?.token ?? null });
    const answer = await deps.endpoint.post(provenForm(form, proof), proof.authorization, options.timeoutMs);
    if (typeof answer === "string") return { cannotTell: answer };
    const [subject, subjectExp] = [ownSubject(identity), identity.expiresAt];
    const hidden = actor === null ? proof.secrets : [...proof.secrets, actor.token];
    const configured = { profile, audience, scope, allowScopes, secrets: hidden };
    const caller = { subject, subjectToken, subjectExp, actor: actor?.subject ?? null, before: identity.actors };
    const expected: Expectation = { ...configured, ...caller, askedAt, now: deps.now() };
    return readResponse(answer, expected);
  }

  return {
    kind: "exchange",
    get(identity, signal, refused) {
      if (identity.method !== "jwt") return NO_TOKEN;
      // An IdP could use a token that it receives, also at this gateway: it gets tokens of its own issuer only.
      if (options.issuer !== null && identity.issuer !== options.issuer) return OTHER_ISSUER;
      // Verification tolerates clocks that differ, so a token in its last seconds may have expired for the IdP.
      if (identity.expiresAt * 1000 <= deps.now()) return { cannotTell: "the caller's token is about to end" };
      const target = targetFor(identity);
      if (target === null) return NO_TARGET;
      const key = keyOf({ ...options, ...target }, deps, identity);
      return deps.cache.get({ key, identity, ask: () => fetchLookup(identity, target), refused }, signal);
    },
  };
}

function entryOf(result: ExchangeResult, { scheme, header, audience, negativeTtlMs }: ExchangeOptions): CacheEntry {
  if ("cannotTell" in result) return { lookup: result, ttlMs: 0 };
  if ("refused" in result) return { lookup: result, ttlMs: negativeTtlMs };
  const { actors } = result;
  const origin = { audience, ...(actors.length > 0 && { actors }) };
  const value = headerValue(scheme, result.granted);
  return { lookup: { found: Object.freeze({ kind: "exchange" as const, header, value, origin }) }, ...result.life };
}

/** Fills the caller's claims in; null where she has none that fits. */
function createTargets({ audience, scope }: Target, aliasOf: (issuer: string) => string | null) {
  const [audienceTemplate, scopeTemplate] = [readTemplate(audience), readTemplate(scope ?? "")];
  return (identity: TokenIdentity): Target | null => {
    const caller = { ...identity, issuerAlias: aliasOf(identity.issuer) };
    const filled = fillTemplate(audienceTemplate, caller);
    const scopes = fillTemplate(scopeTemplate, caller);
    return filled === null || scopes === null ? null : { audience: filled, scope: scope === null ? null : scopes };
  };
}

/** Makes the cache key: everything that the result depends on. */
function keyOf(
  { entry, audience, scope, client }: ExchangeOptions,
  deps: ExchangeDeps,
  identity: TokenIdentity,
): string {
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

/** True if the caller's token allows this actor. RFC 8693 §4.4: a token with `may_act` allows no other party. */
function mayAct({ claims, issuer }: TokenIdentity, { subject }: ActorToken): boolean {
  return !("may_act" in claims) || isParty(claims["may_act"], subject, issuer);
}

function outcomeOf(result: ExchangeResult): ExchangeOutcome {
  if ("granted" in result) return "ok";
  return "refused" in result ? "none" : "unavailable";
}

/** The IdP's name for the caller, whichever claim is the subject here. */
function ownSubject({ claims, subject }: TokenIdentity): string {
  return typeof claims["sub"] === "string" ? claims["sub"] : subject;
}
