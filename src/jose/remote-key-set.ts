// The published keys of one issuer: fetched beside the requests, and for a `kid` that nobody has seen. I/O (RFC 7517).
import { LRUCache } from "lru-cache";
import { describeFault, fetchDocument, type Fetch } from "../http/fetch-document.ts";
import { findJwksUri } from "./jwks-uri.ts";
import { readKeySet, type KeySet, type VerificationKey } from "./key-set.ts";

export interface KeySource {
  readonly issuer: string;
  /** Null: from the issuer's metadata. */
  readonly jwksUri: string | null;
  readonly allowedHosts: readonly string[];
}

/**
 * `unknown`: the issuer does not have this key. `unasked`: nobody has seen it, and the issuer was asked too shortly before;
 * it is asked again within {@link COOLDOWN_MS}. `unavailable`: the issuer's keys cannot be had.
 */
export type KeyLookup = { readonly found: VerificationKey } | "unknown" | "unasked" | "unavailable";

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
  /** Whether a key that was found before is still published, as far as is known: no longer than for a day. */
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
  /** Told of each set that was taken, for the next thread of this process. */
  readonly onKeys?: (issuer: string, bytes: Uint8Array) => void;
  /** The set that an earlier thread of this process had. */
  readonly kept?: (issuer: string) => { readonly bytes: Uint8Array; readonly ageMs: number } | null;
}

const FRESH_MS = 10 * 60_000;
/** How long keys are used while the issuer cannot be reached. */
const MAX_STALE_MS = 24 * 3600_000;
/**
 * Between two fetches for keys that nobody has seen: a flood of unknown `kid`s costs one request each time (A32), and
 * delays a key that was rotated in by no more.
 */
export const COOLDOWN_MS = 5000;
/** Unknown `kid`s of which it is kept since when they are asked for; one that is forgotten is asked for anew. */
const MAX_UNKNOWN = 1000;
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
  /** A fetch for unknown keys, at the end of the cool-down. */
  #soon: NodeJS.Timeout | undefined;
  /** When each unknown `kid` was first asked for. */
  readonly #askedAt = new LRUCache<string, number>({ max: MAX_UNKNOWN });
  #closed = false;

  constructor(source: KeySource, deps: KeyStoreDeps) {
    this.#source = source;
    this.#deps = deps;
    const kept = deps.kept?.(source.issuer) ?? null;
    if (kept !== null) this.#restore(kept.bytes, kept.ageMs);
  }

  find(kid: string | null, signal: AbortSignal): KeyLookup | Promise<KeyLookup> {
    const known = this.#lookup(kid);
    if (typeof known === "object") return known;
    this.#noteUnknown(kid);
    const waitMs = this.#triedAt + COOLDOWN_MS - this.#deps.monotonic();
    if (waitMs > 0 && this.#flight === null) {
      this.#fetchIn(waitMs);
      return this.#settled(kid);
    }
    return Promise.race([this.start(), aborted(signal)]).then(() =>
      signal.aborted ? "unavailable" : this.#settled(kid),
    );
  }

  has(key: VerificationKey): boolean {
    const ageMs = this.#ageMs();
    if (ageMs === null || ageMs > MAX_STALE_MS) return false;
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
    clearTimeout(this.#soon);
  }

  #noteUnknown(kid: string | null): void {
    if (kid !== null && !this.#askedAt.has(kid)) this.#askedAt.set(kid, this.#deps.monotonic());
  }

  /** One for all who ask meanwhile. */
  #fetchIn(milliseconds: number): void {
    if (this.#soon !== undefined || this.#closed) return;
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      void this.start();
    }, milliseconds);
    this.#soon.unref();
  }

  /** A key is unknown only if the issuer was asked since it is looked for, and answered; else nobody can tell. */
  #settled(kid: string | null): KeyLookup {
    const now = this.#lookup(kid);
    if (typeof now === "object") return now;
    if (now !== "unknown" || this.#lastError !== null) return "unavailable";
    const askedAt = kid === null ? -Infinity : (this.#askedAt.get(kid) ?? Infinity);
    return askedAt <= this.#triedAt ? "unknown" : "unasked";
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
      this.#deps.onKeys?.(this.#source.issuer, bytes);
      this.#failures = 0;
      this.#lastError = null;
    } catch (error) {
      this.#failures += 1;
      this.#lastError = describeFault(error);
    }
    this.#deps.onFetch(this.#source.issuer, this.#lastError);
  }

  /** Keys of an earlier thread, read as if they were fetched now, and no fresher than they are. */
  #restore(bytes: Uint8Array, ageMs: number): void {
    const keys = readKeySet(bytes);
    if (typeof keys === "string") return;
    this.#keys = keys;
    this.#fetchedAt = this.#deps.monotonic() - ageMs;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    const dueMs = this.#failures === 0 ? Math.max(0, FRESH_MS - (this.#ageMs() ?? 0)) : retryMs(this.#failures);
    this.#timer = setTimeout(() => void this.start(), dueMs);
    this.#timer.unref();
  }

  #ageMs(): number | null {
    return this.#fetchedAt === null ? null : this.#deps.monotonic() - this.#fetchedAt;
  }

  #lookup(kid: string | null): Exclude<KeyLookup, "unasked"> {
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
