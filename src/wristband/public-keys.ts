// serve's public keys, by which the broker verifies wristbands. I/O.
import type { Later } from "../async/later.ts";
import { describeFault, fetchDocument, type Fetch } from "../http/fetch-document.ts";
import { readWholeKeySet } from "../jose/key-set.ts";
import { createRemoteKeySet, type RemoteKeySet } from "../jose/remote-key-set.ts";

export interface PublicKeysOptions {
  /** serve's JWK Set. */
  readonly url: string;
  readonly fetch: Fetch;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
  readonly later?: Later;
  readonly random?: () => number;
}

const MAX_BYTES = 64 * 1024;
/** How soon a key that serve no longer publishes is no longer believed. */
const FRESH_MS = 10_000;
/** How long the last set is believed while serve cannot be asked. */
const STALE_MS = 3_600_000;
const COOLDOWN_MS = 1000;
const RETRY = { firstMs: 500, maxMs: 5000, jitter: 0.2 };

export function createPublicKeys({ url, fetch, ...options }: PublicKeysOptions): RemoteKeySet {
  return createRemoteKeySet({
    ...options,
    fetch: () => fetchDocument(fetch, url, MAX_BYTES),
    describe: describeFault,
    read: (bytes) => readWholeKeySet(bytes, "ES256"),
    freshMs: FRESH_MS,
    staleMs: STALE_MS,
    cooldownMs: COOLDOWN_MS,
    retry: RETRY,
  });
}
