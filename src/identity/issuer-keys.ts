// The remote key set of one issuer, found by the issuer's metadata if the configuration names no `jwksUri`. I/O.
import { describeFault, fetchDocument, type Fetch } from "../http/fetch-document.ts";
import { fetchKeysAt, findJwksUri } from "../jose/jwks-uri.ts";
import { readKeySet } from "../jose/key-set.ts";
import { createRemoteKeySet, type KeySetStatus, type RemoteKeySet } from "../jose/remote-key-set.ts";

export interface IssuerKeySource {
  readonly issuer: string;
  /** Null means that the issuer's metadata names it. */
  readonly jwksUri: string | null;
  readonly allowedHosts: readonly string[];
}

export interface IssuerKeysDeps {
  readonly fetch: Fetch;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly onFetch: (issuer: string, error: string | null) => void;
  /** Called with each accepted set, for the next serving thread of this process. */
  readonly onKeys?: (issuer: string, bytes: Uint8Array) => void;
  /** The set of an earlier serving thread of this process. */
  readonly kept?: (issuer: string) => { readonly bytes: Uint8Array; readonly ageMs: number } | null;
}

export interface IssuerKeyStatus extends KeySetStatus {
  readonly issuer: string;
}

const FRESH_MS = 10 * 60_000;
/** Keys are used this long while the issuer cannot be reached. */
const STALE_MS = 24 * 3600_000;
/** A new key is known after this time at the latest, whatever other `kid`s are asked for. */
const COOLDOWN_MS = 5000;
const RETRY = { firstMs: 1000, maxMs: 60_000, jitter: 0.25 };

export function createIssuerKeys(source: IssuerKeySource, deps: IssuerKeysDeps): RemoteKeySet {
  const { issuer } = source;
  return createRemoteKeySet({
    fetch: async () =>
      source.jwksUri === null
        ? fetchKeysAt(await findJwksUri(source, deps.fetch), deps.fetch)
        : fetchDocument(deps.fetch, source.jwksUri),
    describe: describeFault,
    read: readKeySet,
    freshMs: FRESH_MS,
    staleMs: STALE_MS,
    cooldownMs: COOLDOWN_MS,
    retry: RETRY,
    monotonic: deps.monotonic,
    now: deps.now,
    onFetch: (error) => deps.onFetch(issuer, error),
    onKeys: (bytes) => deps.onKeys?.(issuer, bytes),
    kept: deps.kept?.(issuer) ?? null,
  });
}
