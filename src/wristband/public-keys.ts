// The remote key set of serve's public keys, with which the broker verifies wristbands. I/O through the fetcher.
import type { Later } from "../async/later.ts";
import { describeFault, fetchDocument, type Fetch } from "../http/fetch-document.ts";
import { readWholeKeySet } from "../jose/key-set.ts";
import { createRemoteKeySet, type RemoteKeySet } from "../jose/remote-key-set.ts";

export interface PublicKeysOptions {
  /** URL of serve's JWK Set. */
  readonly url: string;
  readonly fetch: Fetch;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
  readonly later?: Later;
  readonly random?: () => number;
}

/** Of its document, for `fetch`. */
export const KEY_SET_LIMITS = { maxBytes: 64 * 1024, timeoutMs: 3000 };
/** A key that serve no longer publishes is accepted for this time at most. */
const FRESH_MS = 10_000;
/** The last set is used for this time while serve cannot be reached. */
const STALE_MS = 3_600_000;
const COOLDOWN_MS = 1000;
const RETRY = { firstMs: 500, maxMs: 5000, jitter: 0.2 };

export function createPublicKeys({ url, fetch, ...options }: PublicKeysOptions): RemoteKeySet {
  return createRemoteKeySet({
    ...options,
    fetch: () => fetchDocument(fetch, url),
    describe: describeFault,
    read: (bytes) => readWholeKeySet(bytes, "ES256"),
    freshMs: FRESH_MS,
    staleMs: STALE_MS,
    cooldownMs: COOLDOWN_MS,
    retry: RETRY,
  });
}
