// The port `identify`: verifies bearer JWTs of the configured issuers (RFC 9068, RFC 8725, RFC 7519). I/O only for keys.
import { compactVerify, errors } from "jose";
import { resourcesOf } from "../authz/endpoint.ts";
import { sourceOf } from "../authz/source.ts";
import { pass, refuse, type Refused, type Step } from "../authz/step.ts";
import { createFairTurns, type FairTurns } from "../authz/fair-turns.ts";
import type { TokenIdentity, TokenUse } from "../authz/types.ts";
import { Secret } from "../secret/secret.ts";
import { actorsOf } from "../jose/act-claim.ts";
import { createFetch, DOCUMENT_LIMITS, type Fetch } from "../http/fetch-document.ts";
import type { Outgoing } from "../http/outgoing.ts";
import { claimedIssuer, readClaims, splitToken } from "../jose/compact.ts";
import { authenticationOf } from "./authentication.ts";
import { checkClaims, SKEW_SECONDS, type ClaimRules } from "./claims.ts";
import { judgeClaims } from "./judge-claims.ts";
import { createIssuerKeys, type IssuerKeysDeps, type IssuerKeyStatus } from "./issuer-keys.ts";
import type { KeyLookup, RemoteKeySet } from "../jose/remote-key-set.ts";
import type { VerificationKey } from "../jose/key-set.ts";
import { createSourceBudget, type SourceBudget } from "./source-budget.ts";
import type { RevocationMatch } from "./revocations.ts";
import { createTokenCache, type TokenCache, type VerifiedToken } from "./token-cache.ts";
import { createPossession, type Possession } from "./possession.ts";
import { checkHeader } from "./token-header.ts";

export interface IssuerOptions extends ClaimRules {
  readonly issuer: string;
  /** Audiences that every endpoint accepts beside its own resource URL. */
  readonly audiences: readonly string[];
  readonly algorithms: readonly string[];
  readonly jwksUri: string | null;
  /** PEM of the CAs that may sign its certificate; the system's unless told. */
  readonly ca?: Buffer | null;
  /** What its documents may name inside; nothing unless told. */
  readonly outgoing?: Outgoing;
  readonly allowedHosts: readonly string[];
}

export interface IdentityOptions {
  readonly issuers: readonly IssuerOptions[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly monotonic?: () => number;
  /** In place of the network. */
  readonly fetch?: Fetch;
  /** Failed verifications per second and source address; 20 by default. */
  readonly invalidTokensPerSecond?: number;
  /** Memory for verified tokens, in bytes; 64 MiB by default. */
  readonly tokenCacheBytes?: number;
  /** Called after every fetch of keys; a null error means success. */
  readonly onFetch?: (issuer: string, error: string | null) => void;
  readonly onKeys?: IssuerKeysDeps["onKeys"];
  readonly keptKeys?: IssuerKeysDeps["kept"];
  readonly onCache?: (result: "hit" | "miss") => void;
  /** Given where another verifier may take this one's place; its own otherwise. */
  readonly possession?: Possession;
  /** Returns the kind of revocation that applies to a verified token, or null. Called at each use, also of cached tokens. */
  readonly revoked?: (identity: TokenIdentity) => RevocationMatch | null;
}

export interface IdentityService {
  /** @param use the resource alone where there is no client address, as in `mcp-authz why` */
  identify(
    token: string,
    use: TokenUse | string,
    signal: AbortSignal,
  ): Step<TokenIdentity> | Promise<Step<TokenIdentity>>;
  /** Fetches the keys of issuers without any; resolves when each such issuer was tried once. */
  start(): Promise<void>;
  /** True when the keys of at least one issuer are there. */
  ready(): boolean;
  status(): readonly IssuerKeyStatus[];
  close(): void;
}

interface Issuer {
  readonly options: IssuerOptions;
  readonly keys: RemoteKeySet;
}

/**
 * Verifications of tokens that are not in the cache. Two begin in each turn of the event loop (about 1 ms of CPU), and 16 are
 * in the thread pool that verifies signatures and writes the audit log too.
 */
export const UNVERIFIED = { perTurn: 2, maxActive: 16, maxPerKey: 1024, maxWaiting: 2048 };
/** Tokens that wait for a fetch of keys: a quarter of the Checks that Envoy has in flight. */
const AWAITING_KEYS = { perTurn: Infinity, maxActive: 256, maxPerKey: 128, maxWaiting: 0 };
const INVALID_TOKENS_PER_SECOND = 20;
const LIMITED = refuse("rate_limited", "this address has brought too many tokens that failed verification");
const CROWDED = refuse("rate_limited", "too many tokens wait for their verification");
const LATE = refuse("deadline", "before the token's turn came");
/** The refusal of a token that asks for a fetch of keys during the cool-down: it counts like a forged one. */
const UNASKED = refuse("keys_unavailable", "kid is unknown so far: the issuer is asked within 5 s");
const TOKEN_CACHE_BYTES = 64 * 1024 * 1024;

/** A token, and the names of the endpoint at which it was presented. */
interface IdentifyRequest {
  readonly token: string;
  readonly resources: readonly string[];
  readonly use: TokenUse | string;
  readonly signal: AbortSignal;
}

/** A token whose issuer is known and whose key is being looked up. */
interface KeyRequest {
  readonly options: IssuerOptions;
  readonly alg: string;
  readonly payload: Buffer;
  readonly lookup: Promise<KeyLookup>;
}

/** True for a result that counts against the source address. */
function isFailure(step: object): boolean {
  if (!("ok" in step) || step.ok === true) return false;
  const { reason, caller } = step as Refused;
  return caller === undefined && (reason === "token_invalid" || step === UNASKED);
}

/** True if two clocks differ by more than {@link SKEW_SECONDS}. @param aheadMs milliseconds; null if unknown */
export function clocksDiffer(aheadMs: number | null): aheadMs is number {
  return aheadMs !== null && Math.abs(aheadMs) > SKEW_SECONDS * 1000;
}

/** Makes the verifier. An identity is the pair (issuer, subject), compared byte for byte. */
export function createIdentity(options: IdentityOptions): IdentityService {
  const deps = {
    monotonic: options.monotonic ?? (() => performance.now()),
    now: options.now,
    onFetch: options.onFetch ?? (() => {}),
    ...(options.onKeys && { onKeys: options.onKeys }),
    ...(options.keptKeys && { kept: options.keptKeys }),
  };
  const keysOf = (issuer: IssuerOptions) =>
    createIssuerKeys(issuer, { ...deps, fetch: options.fetch ?? fetchOf(issuer) });
  const issuers = new Map<string, Issuer>(
    options.issuers.map((issuer) => [issuer.issuer, { options: issuer, keys: keysOf(issuer) }]),
  );
  const stores = [...issuers.values()].map(({ keys }) => keys);
  const verifier = new TokenVerifier(issuers, options);
  return {
    identify: (token, use, signal) => verifier.identify(token, use, signal),
    start: async () => {
      await Promise.all(stores.filter((keys) => keys.status().keys === 0).map((keys) => keys.start()));
    },
    ready: () => stores.some((keys) => keys.status().keys > 0),
    status: () => [...issuers].map(([issuer, { keys }]) => ({ issuer, ...keys.status() })),
    close: () => {
      for (const keys of stores) keys.close();
    },
  };
}

function fetchOf({ ca = null, outgoing }: IssuerOptions): Fetch {
  return createFetch(ca, DOCUMENT_LIMITS, outgoing);
}

/** Verifies signature and claims of a token once; lifetime, revocation and audience at each use. */
class TokenVerifier {
  readonly #issuers: ReadonlyMap<string, Issuer>;
  readonly #options: IdentityOptions;
  readonly #cache: TokenCache;
  readonly #budget: SourceBudget;
  readonly #possession: Possession;
  readonly #turns: FairTurns = createFairTurns(UNVERIFIED);
  readonly #awaiting: FairTurns = createFairTurns(AWAITING_KEYS);

  constructor(issuers: ReadonlyMap<string, Issuer>, options: IdentityOptions) {
    const { tokenCacheBytes: maxBytes = TOKEN_CACHE_BYTES, monotonic = () => performance.now() } = options;
    const { invalidTokensPerSecond: perSecond = INVALID_TOKENS_PER_SECOND } = options;
    this.#issuers = issuers;
    this.#options = options;
    this.#possession = options.possession ?? createPossession({ now: options.now });
    this.#cache = createTokenCache({ maxBytes, monotonic });
    this.#budget = createSourceBudget({ perSecond, monotonic });
  }

  identify(
    token: string,
    use: TokenUse | string,
    signal: AbortSignal,
  ): Step<TokenIdentity> | Promise<Step<TokenIdentity>> {
    const resources = typeof use === "string" ? [use] : resourcesOf(use);
    const cached = this.#cache.get(token);
    if (cached !== undefined) {
      const issuer = this.#issuers.get(cached.identity.issuer);
      if (issuer !== undefined && issuer.keys.has(cached.key)) {
        this.#options.onCache?.("hit");
        return this.#judge(cached, issuer.options, { token, resources, signal, use });
      }
      this.#cache.drop(token); // the issuer no longer publishes its key
    }
    this.#options.onCache?.("miss");
    const request = { token, resources, signal, use };
    return typeof use === "string" ? this.#verify(request) : this.#inTurn(sourceOf(use.source), request);
  }

  async #verify(request: IdentifyRequest): Promise<Step<TokenIdentity>> {
    const begun = await this.#begin(request);
    return "ok" in begun ? begun : this.#finish(request, begun, await begun.lookup);
  }

  /**
   * Verifies a token that is not in the cache, if its source has failures left in its budget; that is checked before the
   * token is parsed. A failure counts unless the signature was valid or the keys were unavailable. The turn is given back
   * during a fetch of keys: an issuer that does not respond must not block the others.
   */
  async #inTurn(source: string, request: IdentifyRequest): Promise<Step<TokenIdentity>> {
    const begun = await this.#turn(source, request, () => this.#begin(request));
    if ("ok" in begun) return begun;
    const lookup = await this.#awaiting.run(source, async () => ({ result: await begun.lookup }), request.signal);
    if (typeof lookup !== "object") return CROWDED;
    const finish = () => this.#finish(request, begun, lookup.result);
    if (typeof lookup.result === "object") return this.#turn(source, request, finish);
    return this.#counted(source, await finish()); // no signature to verify
  }

  async #turn<T extends object>(
    source: string,
    { signal }: IdentifyRequest,
    task: () => Promise<T>,
  ): Promise<T | Refused> {
    const budget = this.#budget;
    if (budget.isSpent(source)) return LIMITED;
    const counted = async () => {
      if (budget.isSpent(source)) return LIMITED; // while this one waited
      return this.#counted(source, await task());
    };
    const done = await this.#turns.run(source, counted, signal);
    if (typeof done === "object") return done;
    return done === "full" ? CROWDED : LATE;
  }

  #counted<T extends object>(source: string, step: T): T {
    if (isFailure(step)) this.#budget.spend(source);
    return step;
  }

  /** Verifies up to the lookup of the key, or to the end if the key is cached. */
  async #begin(request: IdentifyRequest): Promise<Step<TokenIdentity> | KeyRequest> {
    const parts = splitToken(request.token);
    if (typeof parts === "string") return refuse("token_invalid", parts);
    // The issuer's name only selects among configured ones; nothing else of an unverified token is used (threat model: A10, A28).
    const issuer = this.#issuers.get(claimedIssuer(parts.payload) ?? "");
    if (issuer === undefined) return refuse("token_invalid", "issuer is not configured");
    const { options, keys } = issuer;
    const header = checkHeader(parts.header, options.algorithms, options.tokenType);
    if (typeof header === "string") return refuse("token_invalid", header);
    const lookup = keys.find(header.kid, request.signal);
    const keyRequest = { options, alg: header.alg, payload: parts.payload };
    return lookup instanceof Promise ? { ...keyRequest, lookup } : this.#finish(request, keyRequest, lookup);
  }

  async #finish(
    request: IdentifyRequest,
    { options, alg, payload }: Omit<KeyRequest, "lookup">,
    lookup: KeyLookup,
  ): Promise<Step<TokenIdentity>> {
    const { token } = request;
    if (lookup === "unavailable") return refuse("keys_unavailable", "the issuer's keys");
    if (lookup === "unasked") return UNASKED;
    if (lookup === "unknown") return refuse("token_invalid", "kid is unknown");
    const key = lookup.found;
    if (!key.algorithms.includes(alg)) return refuse("token_invalid", "alg does not fit the key");
    if (!(await isSigned(token, key, alg))) return refuse("token_invalid", "signature");
    const verified = admitClaims({ token, payload, key }, options, this.#options.now());
    if (!verified.ok) return verified;
    const endsAtMs = (verified.value.claims.expiresAt + SKEW_SECONDS) * 1000;
    this.#cache.put(token, verified.value, endsAtMs - this.#options.now());
    return this.#judge(verified.value, options, request);
  }

  /** Checks lifetime, revocation and audience at each use: the cache spares the signature and the claims only. */
  #judge(
    { identity, claims }: VerifiedToken,
    issuer: IssuerOptions,
    { token, resources, use, signal }: IdentifyRequest,
  ): Step<TokenIdentity> | Promise<Step<TokenIdentity>> {
    const revoked = () => this.#options.revoked?.(identity) ?? null;
    const audiences = [resources, issuer.audiences];
    const refused = judgeClaims({ identity, claims, audiences, revoked }, this.#options.now() / 1000);
    if (refused !== null) return refused;
    return this.#possession({ token, identity, jkt: claims.jkt, mode: issuer.dpop ?? "off", use, signal });
  }
}

async function isSigned(token: string, key: VerificationKey, alg: string): Promise<boolean> {
  try {
    await compactVerify(token, key.key, { algorithms: [alg] });
    return true;
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof TypeError) return false;
    throw error;
  }
}

/** A token with a valid signature, and its key. */
interface SignedToken {
  readonly token: string;
  readonly payload: Buffer;
  readonly key: VerificationKey;
}

/** Parses and checks the claims. The signature comes first: large claims can cost more than it does. */
function admitClaims(signed: SignedToken, issuer: IssuerOptions, nowMs: number): Step<VerifiedToken> {
  const { token, key } = signed;
  const payload = readClaims(signed.payload);
  if (typeof payload === "string") return refuse("token_invalid", payload);
  if (payload["iss"] !== issuer.issuer) return refuse("token_invalid", "iss");
  const claims = checkClaims(payload, issuer, nowMs / 1000);
  if (typeof claims === "string") return refuse("token_invalid", `claim: ${claims}`);
  const { subject, username, groups, scopes, expiresAt } = claims;
  const identity: TokenIdentity = {
    method: "jwt",
    issuer: issuer.issuer,
    subject,
    username,
    groups,
    scopes,
    ...authenticationOf(payload, issuer.machine ?? null),
    actors: actorsOf(payload),
    claims: payload,
    expiresAt,
    token: new Secret(token),
  };
  return pass({ identity, claims, key });
}
