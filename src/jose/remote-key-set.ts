// A cached remote JWK Set (RFC 7517): fetched in the background, and for an unknown `kid`. I/O through the fetch function and
// the timers that are passed in.
import { LRUCache } from "lru-cache";
import { untilAborted } from "../async/abortable.ts";
import { backoffMs, type Backoff } from "../async/backoff.ts";
import { later as timer, type Alarm, type Later } from "../async/later.ts";
import { singleFlight } from "../async/single-flight.ts";
import { NO_KID, withSameObjects, type KeySet, type VerificationKey } from "./key-set.ts";

export interface KeyDocument {
  readonly bytes: Uint8Array;
  /** `Date` of the response in milliseconds since the epoch, or null. */
  readonly date: number | null;
}

export interface RemoteKeySetOptions {
  /** Fetches the set once, within a time limit of its own. @throws {Error} whose message `describe` may put into a log */
  readonly fetch: () => Promise<KeyDocument>;
  /** Makes a short reason for the log, without content of a response and without addresses. */
  readonly describe: (error: unknown) => string;
  /** Reads a set, or returns its fault. */
  readonly read: (bytes: Uint8Array) => KeySet | string;
  /** Milliseconds between two fetches. */
  readonly freshMs: number;
  /** Milliseconds for which the last set is used while it cannot be fetched. */
  readonly staleMs: number;
  /** Milliseconds between two fetches for unknown keys: a flood of unknown `kid`s costs one request each (threat model: A32). */
  readonly cooldownMs: number;
  readonly retry: Backoff;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly later?: Later;
  /** 0 to 1. */
  readonly random?: () => number;
  /** Called after every fetch; null means success. */
  readonly onFetch?: (error: string | null) => void;
  /** Called with each accepted set, for the next serving thread of this process. */
  readonly onKeys?: (bytes: Uint8Array) => void;
  /** The set of an earlier serving thread of this process. */
  readonly kept?: { readonly bytes: Uint8Array; readonly ageMs: number } | null;
}

/**
 * `unknown`: the publisher does not have this key. `unasked`: the key is unknown, and the cool-down allows no fetch yet; one
 * follows when it ends. `unavailable`: there is no usable set.
 */
export type KeyLookup = { readonly found: VerificationKey } | "unknown" | "unasked" | "unavailable";

export interface KeySetStatus {
  readonly keys: number;
  /** Milliseconds of the monotonic clock since the last good fetch; null before the first. */
  readonly ageMs: number | null;
  readonly lastError: string | null;
  /** Milliseconds by which the publisher's clock is ahead, at the last good fetch; null without a `Date`. */
  readonly clockAheadMs: number | null;
}

export interface RemoteKeySet {
  /** Returns the key from the cached set, without a fetch. */
  get(kid: string): VerificationKey | undefined;
  /** Finds a key, with a fetch for an unknown `kid` if the cool-down allows one. Null means the publisher's key without `kid`, or its only one. */
  find(kid: string | null, signal: AbortSignal): KeyLookup | Promise<KeyLookup>;
  /** True if a key that was found before is in the cached set. */
  has(key: VerificationKey): boolean;
  /** Fetches at the end of the cool-down at the latest, or joins the fetch in flight. Resolves when that has ended. */
  refresh(): Promise<void>;
  /** Fetches now, then in the background. Resolves when the first attempt has ended, successful or not. */
  start(): Promise<void>;
  status(): KeySetStatus;
  close(): void;
}

/** Unknown `kid`s whose first request is remembered. A `kid` that was evicted counts as new. */
const MAX_UNKNOWN = 1000;

/**
 * Makes a cached key set. It serves its keys while the publisher is slow or down, for `staleMs` at most. A fetch replaces the
 * whole set, so that a removed key is no longer accepted (threat model: A33, A36). A key that stays is the same object.
 */
export function createRemoteKeySet(options: RemoteKeySetOptions): RemoteKeySet {
  return new FetchedKeySet(options);
}

class FetchedKeySet implements RemoteKeySet {
  readonly #options: RemoteKeySetOptions;
  readonly #later: Later;
  #keys: KeySet = new Map();
  #fetchedAt: number | null = null;
  #triedAt = -Infinity;
  #failures = 0;
  #lastError: string | null = "not fetched yet";
  #clockAheadMs: number | null = null;
  #fetching = false;
  #next: Alarm | null = null;
  /** A fetch for unknown keys, at the end of the cool-down. */
  #pending: { readonly done: Promise<void>; cancel(): void } | null = null;
  /** Monotonic milliseconds of the first request for each unknown `kid`. */
  readonly #askedAt = new LRUCache<string, number>({ max: MAX_UNKNOWN });
  #closed = false;

  constructor(options: RemoteKeySetOptions) {
    this.#options = options;
    this.#later = options.later ?? timer;
    if (options.kept) this.#restore(options.kept.bytes, options.kept.ageMs);
  }

  get(kid: string): VerificationKey | undefined {
    return this.#isUsable() ? this.#keys.get(kid) : undefined;
  }

  find(kid: string | null, signal: AbortSignal): KeyLookup | Promise<KeyLookup> {
    const known = this.#lookup(kid);
    if (typeof known === "object") return known;
    this.#noteUnknown(kid);
    const waitMs = this.#cooldownMs();
    if (waitMs > 0 && !this.#fetching) {
      void this.#fetchIn(waitMs);
      return this.#settled(kid);
    }
    return untilAborted(this.start(), signal).then(
      () => this.#settled(kid),
      () => "unavailable",
    );
  }

  has(key: VerificationKey): boolean {
    return this.get(key.kid) === key;
  }

  refresh(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const waitMs = this.#cooldownMs();
    return waitMs > 0 ? this.#fetchIn(waitMs) : this.start();
  }

  readonly start = singleFlight(async (): Promise<void> => {
    this.#fetching = true;
    await this.#load();
    this.#fetching = false;
    this.#schedule();
  });

  status(): KeySetStatus {
    return {
      keys: this.#isUsable() ? this.#keys.size : 0,
      ageMs: this.#ageMs(),
      lastError: this.#lastError,
      clockAheadMs: this.#clockAheadMs,
    };
  }

  close(): void {
    this.#closed = true;
    this.#next?.cancel();
    this.#pending?.cancel();
  }

  #noteUnknown(kid: string | null): void {
    if (kid !== null && !this.#askedAt.has(kid)) this.#askedAt.set(kid, this.#options.monotonic());
  }

  #cooldownMs(): number {
    return this.#triedAt + this.#options.cooldownMs - this.#options.monotonic();
  }

  /** Schedules one fetch, which all callers until then share. `close` ends the wait. */
  #fetchIn(milliseconds: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.#pending === null) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const alarm = this.#later(() => {
        this.#pending = null;
        void this.start().then(resolve);
      }, milliseconds);
      const cancel = () => {
        alarm.cancel();
        resolve();
      };
      this.#pending = { done: promise, cancel };
    }
    return this.#pending.done;
  }

  /** The result after a fetch: `unknown` only if a good fetch began after the first request for this `kid`. */
  #settled(kid: string | null): KeyLookup {
    const now = this.#lookup(kid);
    if (typeof now === "object") return now;
    if (now !== "unknown" || this.#lastError !== null) return "unavailable";
    const askedAt = kid === null ? -Infinity : (this.#askedAt.get(kid) ?? Infinity);
    return askedAt <= this.#triedAt ? "unknown" : "unasked";
  }

  /** Never rejects. */
  async #load(): Promise<void> {
    const { fetch, read, describe, monotonic, now = Date.now, onFetch, onKeys } = this.#options;
    this.#triedAt = monotonic();
    try {
      const { bytes, date } = await fetch();
      this.#clockAheadMs = date === null ? null : date - now();
      const next = read(bytes);
      if (typeof next === "string") throw new Error(next);
      this.#keys = withSameObjects(next, this.#keys);
      this.#fetchedAt = monotonic();
      onKeys?.(bytes);
      this.#failures = 0;
      this.#lastError = null;
    } catch (error) {
      this.#failures += 1;
      this.#lastError = describe(error);
    }
    onFetch?.(this.#lastError);
  }

  /** Takes over the keys of an earlier thread, with their age. */
  #restore(bytes: Uint8Array, ageMs: number): void {
    const keys = this.#options.read(bytes);
    if (typeof keys === "string") return;
    this.#keys = keys;
    this.#fetchedAt = this.#options.monotonic() - ageMs;
    this.#lastError = null;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#next?.cancel();
    const { freshMs, retry, random = Math.random } = this.#options;
    const isGood = this.#failures === 0;
    const dueMs = isGood ? freshMs - (this.#ageMs() ?? 0) : backoffMs(retry, this.#failures, random());
    this.#next = this.#later(() => void this.start(), Math.max(0, dueMs));
  }

  #ageMs(): number | null {
    return this.#fetchedAt === null ? null : this.#options.monotonic() - this.#fetchedAt;
  }

  #isUsable(): boolean {
    const ageMs = this.#ageMs();
    return ageMs !== null && ageMs <= this.#options.staleMs;
  }

  #lookup(kid: string | null): Exclude<KeyLookup, "unasked"> {
    if (!this.#isUsable()) return "unavailable";
    const key = kid === null ? keyWithoutKid(this.#keys) : this.#keys.get(kid);
    return key === undefined ? "unknown" : { found: key };
  }
}

/** The key for a token without `kid`: the one without, or the only one of the set. */
function keyWithoutKid(keys: KeySet): VerificationKey | undefined {
  return keys.size === 1 ? [...keys.values()][0] : keys.get(NO_KID);
}
