import { fetchDocument, type Fetch } from "./fetch-document.ts";
import { jwksUriOf, metadataUrls } from "./issuer-urls.ts";
import { readKeySet, type KeySet, type VerificationKey } from "./key-set.ts";

export interface KeySource {
  readonly issuer: string;
  /** Null: from the issuer's metadata. */
  readonly jwksUri: string | null;
  readonly allowedHosts: readonly string[];
}

/** `unknown`: the issuer does not have this key. `unavailable`: we cannot tell. */
export type KeyLookup = { readonly found: VerificationKey } | "unknown" | "unavailable";

export interface KeyStatus {
  readonly issuer: string;
  readonly keys: number;
  /** Milliseconds of the monotonic clock since the last good fetch; null before the first. */
  readonly ageMs: number | null;
  readonly lastError: string | null;
  /** How far the issuer's clock is ahead of ours, at the last good fetch; null when it did not say. */
  readonly clockAheadMs: number | null;
}

export interface KeyStore {
  find(kid: string | null, signal: AbortSignal): KeyLookup | Promise<KeyLookup>;
  /** Whether a key that was found before is still published. */
  has(key: VerificationKey): boolean;
  /** Fetches once now and then keeps itself fresh. Resolves when the first try has ended, well or not. */
  start(): Promise<void>;
  status(): KeyStatus;
  close(): void;
}

export interface KeyStoreDeps {
  readonly fetch: Fetch;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly onFetch: (issuer: string, error: string | null) => void;
}

const FRESH_MS = 10 * 60_000;
/** How long keys are used while the issuer cannot be reached. */
const MAX_STALE_MS = 24 * 3600_000;
/** Between two fetches for keys that nobody has seen: a flood of unknown `kid`s costs one request (A32). */
const COOLDOWN_MS = 30_000;
const FIRST_RETRY_MS = 500;
const LIMITS = { maxBytes: 256 * 1024, timeoutMs: 3000 };

/**
 * The published keys of one issuer. Fetches happen beside the requests: known keys are served while the issuer is slow
 * or down, for a day at most; a set is replaced as a whole, so a key that is gone is gone (A33, A36).
 */
export function createKeyStore(source: KeySource, deps: KeyStoreDeps): KeyStore {
  let keys: KeySet = new Map();
  let fetchedAt: number | null = null;
  let triedAt = -Infinity;
  let failures = 0;
  let lastError: string | null = null;
  let clockAheadMs: number | null = null;
  let flight: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const age = () => (fetchedAt === null ? null : deps.monotonic() - fetchedAt);

  function refresh(): Promise<void> {
    flight ??= load().finally(() => {
      flight = null;
      schedule();
    });
    return flight;
  }

  async function load(): Promise<void> {
    triedAt = deps.monotonic();
    try {
      const { bytes, date } = await fetchDocument(deps.fetch, await jwksUri(), LIMITS);
      clockAheadMs = date === null ? null : date - deps.now();
      const next = readKeySet(bytes);
      if (typeof next === "string") throw new Error(next);
      keys = next;
      fetchedAt = deps.monotonic();
      failures = 0;
      lastError = null;
    } catch (error) {
      failures += 1;
      lastError = describe(error);
    }
    deps.onFetch(source.issuer, lastError);
  }

  async function jwksUri(): Promise<string> {
    if (source.jwksUri !== null) return source.jwksUri;
    let unread = "no metadata";
    let refused: string | null = null; // tells more than a 404 at one of the other places
    for (const url of new Set(metadataUrls(source.issuer))) {
      const document = await fetchDocument(deps.fetch, url, LIMITS).catch((error: unknown) => describe(error));
      if (typeof document === "string") {
        unread = document;
        continue;
      }
      const found = jwksUriOf(document.bytes, source.issuer, source.allowedHosts);
      if (typeof found !== "string") return found.url;
      refused ??= found;
    }
    throw new Error(refused ?? unread);
  }

  function schedule(): void {
    if (closed) return;
    clearTimeout(timer);
    // Full jitter, doubling up to a minute: many replicas must not come back in step.
    const wait =
      failures === 0
        ? FRESH_MS
        : Math.min(60_000, FIRST_RETRY_MS * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2);
    timer = setTimeout(() => void refresh(), wait);
    timer.unref();
  }

  function lookup(kid: string | null): KeyLookup {
    const ageMs = age();
    if (ageMs === null || ageMs > MAX_STALE_MS) return "unavailable";
    const key = kid === null ? onlyKey(keys) : keys.get(kid);
    return key === undefined ? "unknown" : { found: key };
  }

  return {
    find(kid, signal) {
      const known = lookup(kid);
      if (typeof known === "object") return known;
      if (deps.monotonic() - triedAt < COOLDOWN_MS && flight === null) return settled(known, lastError);
      return Promise.race([refresh(), aborted(signal)]).then(() => {
        const now = lookup(kid);
        return typeof now === "object" ? now : settled(now, signal.aborted ? "late" : lastError);
      });
    },
    has: (key) => keys.get(key.kid) === key || sameKey(keys.get(key.kid), key),
    start: refresh,
    status: () => ({ issuer: source.issuer, keys: keys.size, ageMs: age(), lastError, clockAheadMs }),
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** A key we do not know is unknown only if the issuer could be asked; else nobody can tell. */
function settled(lookup: "unknown" | "unavailable", lastError: string | null): KeyLookup {
  return lookup === "unknown" && lastError === null ? "unknown" : "unavailable";
}

/** A token without `kid` can only mean an issuer's one key. */
function onlyKey(keys: KeySet): VerificationKey | undefined {
  return keys.size === 1 ? [...keys.values()][0] : undefined;
}

/** After a refresh the same key is another object. */
function sameKey(a: VerificationKey | undefined, b: VerificationKey): boolean {
  return a !== undefined && a.key.equals(b.key);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener("abort", () => done(), { once: true });
  });
}

/** A short reason without the library's text, which can hold addresses and answers. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return "failed";
  if (error.name === "TimeoutError" || error.name === "AbortError") return "timed out";
  const cause = error.cause instanceof Error && "code" in error.cause ? String(error.cause.code) : "";
  return cause !== "" ? cause : error.message.slice(0, 120);
}
