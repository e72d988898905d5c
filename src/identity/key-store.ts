import { describeFault, fetchDocument, type Fetch } from "./fetch-document.ts";
import { findJwksUri } from "./jwks-uri.ts";
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
const MAX_RETRY_MS = 60_000;

/**
 * The published keys of one issuer. Fetches happen beside the requests: known keys are served while the issuer is slow
 * or down, for a day at most; a set is replaced as a whole, so a key that is gone is gone (A33, A36).
 */
export function createKeyStore(source: KeySource, deps: KeyStoreDeps): KeyStore {
  return new IssuerKeyStore(source, deps);
}

class IssuerKeyStore implements KeyStore {
  readonly #source: KeySource;
  readonly #deps: KeyStoreDeps;
  #keys: KeySet = new Map();
  #fetchedAt: number | null = null;
  #triedAt = -Infinity;
  #failures = 0;
  #lastError: string | null = null;
  #clockAheadMs: number | null = null;
  #flight: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(source: KeySource, deps: KeyStoreDeps) {
    this.#source = source;
    this.#deps = deps;
  }

  find(kid: string | null, signal: AbortSignal): KeyLookup | Promise<KeyLookup> {
    const known = this.#lookup(kid);
    if (typeof known === "object") return known;
    const isCoolingDown = this.#deps.monotonic() - this.#triedAt < COOLDOWN_MS;
    if (isCoolingDown && this.#flight === null) return settled(known, this.#lastError);
    return Promise.race([this.start(), aborted(signal)]).then(() => {
      const now = this.#lookup(kid);
      return typeof now === "object" ? now : settled(now, signal.aborted ? "late" : this.#lastError);
    });
  }

  has(key: VerificationKey): boolean {
    const published = this.#keys.get(key.kid);
    return published === key || sameKey(published, key);
  }

  start(): Promise<void> {
    this.#flight ??= this.#load().finally(() => {
      this.#flight = null;
      this.#schedule();
    });
    return this.#flight;
  }

  status(): KeyStatus {
    return {
      issuer: this.#source.issuer,
      keys: this.#keys.size,
      ageMs: this.#ageMs(),
      lastError: this.#lastError,
      clockAheadMs: this.#clockAheadMs,
    };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #load(): Promise<void> {
    this.#triedAt = this.#deps.monotonic();
    try {
      const uri = this.#source.jwksUri ?? (await findJwksUri(this.#source, this.#deps.fetch));
      const { bytes, date } = await fetchDocument(this.#deps.fetch, uri);
      this.#clockAheadMs = date === null ? null : date - this.#deps.now();
      const next = readKeySet(bytes);
      if (typeof next === "string") throw new Error(next);
      this.#keys = next;
      this.#fetchedAt = this.#deps.monotonic();
      this.#failures = 0;
      this.#lastError = null;
    } catch (error) {
      this.#failures += 1;
      this.#lastError = describeFault(error);
    }
    this.#deps.onFetch(this.#source.issuer, this.#lastError);
  }

  #schedule(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.start(), this.#failures === 0 ? FRESH_MS : retryMs(this.#failures));
    this.#timer.unref();
  }

  #ageMs(): number | null {
    return this.#fetchedAt === null ? null : this.#deps.monotonic() - this.#fetchedAt;
  }

  #lookup(kid: string | null): KeyLookup {
    const ageMs = this.#ageMs();
    if (ageMs === null || ageMs > MAX_STALE_MS) return "unavailable";
    const key = kid === null ? onlyKey(this.#keys) : this.#keys.get(kid);
    return key === undefined ? "unknown" : { found: key };
  }
}

/** Full jitter, doubling up to a minute: many replicas must not come back in step. */
function retryMs(failures: number): number {
  return Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2);
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
