// The credential kind `client_credentials`: a token of the gateway's own account at a server, from an IdP (RFC 6749 §4.4),
// the same for every caller. I/O through the token endpoint.
import { createClientAuth, type OAuthClient } from "./exchange/client-auth.ts";
import { askForOwnToken, type OwnToken } from "./exchange/own-token.ts";
import type { OwnTokenTarget } from "./exchange/request.ts";
import type { ExchangeOutcome } from "./exchange/source.ts";
import type { TokenEndpoint } from "./exchange/token-endpoint.ts";
import { cacheKey, type CacheEntry, type LookupCache } from "./lookup-cache.ts";
import type { CredentialSource } from "./source.ts";
import { headerValue, type Placement } from "./static.ts";

export interface ClientCredentialsOptions extends Placement, OwnTokenTarget {
  /** Key in the configuration, such as `servers.github.credential[0]`: part of the cache key. */
  readonly entry: string;
  readonly client: OAuthClient;
  readonly timeoutMs: number;
  /** Milliseconds for which the IdP is not asked again after it gave no token. */
  readonly negativeTtlMs: number;
}

export interface ClientCredentialsDeps {
  readonly endpoint: TokenEndpoint;
  readonly cache: LookupCache;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Called once for each request. */
  readonly onOutcome: (outcome: ExchangeOutcome) => void;
}

/** Makes the source. It never *has none*: a token that cannot be had is *cannot tell*, whatever the IdP says. */
export function clientCredentialsSource(
  options: ClientCredentialsOptions,
  deps: ClientCredentialsDeps,
): CredentialSource {
  const { entry, client, scope, audience, resource, timeoutMs, negativeTtlMs } = options;
  const { endpoint, cache, now, monotonic } = deps;
  const prove = createClientAuth(client, endpoint.url, now);
  const target = { scope, audience, resource };
  const request = { endpoint, prove, clientId: client.id, target, timeoutMs, now };
  const key = cacheKey("client_credentials", entry, endpoint.url, client.id, scope, audience, resource);
  let failed: { readonly fault: string; readonly until: number } | null = null;

  async function ask(): Promise<CacheEntry> {
    if (failed !== null && monotonic() < failed.until) return { lookup: { cannotTell: failed.fault }, ttlMs: 0 };
    const own = await askForOwnToken(request);
    deps.onOutcome(typeof own === "string" ? "unavailable" : "ok");
    if (typeof own !== "string") return { lookup: { found: credentialOf(options, own) }, ...own.life };
    failed = { fault: own, until: monotonic() + negativeTtlMs };
    return { lookup: { cannotTell: own }, ttlMs: 0 };
  }

  return {
    kind: "client_credentials",
    get: (identity, signal, refused) => cache.get({ key, identity, ask, refused }, signal),
  };
}

function credentialOf({ header, scheme, audience, resource }: ClientCredentialsOptions, { token }: OwnToken) {
  const target = audience ?? resource;
  const origin = target === null ? {} : { origin: { audience: target } };
  return Object.freeze({
    kind: "client_credentials" as const,
    header,
    value: headerValue(scheme, token),
    ...origin,
  });
}
