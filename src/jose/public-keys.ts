import type { KeyObject } from "node:crypto";
import { readKeySet, type PublicKey } from "./wristband-key-set.ts";
import { readLimited } from "../http/read-limited.ts";

export interface PublicKeys {
  find(kid: string): KeyObject | undefined;
  /**
   * Resolves after a fetch that began after this call, or a moment ago: for a `kid` that nobody knows yet. Fetches are a
   * second apart at least, however many ask.
   */
  refresh(): Promise<void>;
  start(): Promise<void>;
  ready(): boolean;
  lastError(): string | null;
  close(): void;
}

export interface PublicKeysOptions {
  /** serve's JWK Set. */
  readonly url: string;
  readonly fetch: typeof fetch;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
  /** Runs something later. Injected, so that tests need not wait. */
  readonly later?: Later;
}

type Later = (run: () => void, milliseconds: number) => { cancel(): void };

const MAX_BYTES = 64 * 1024;
const TIMEOUT_MS = 3000;
/** How soon a key that serve no longer publishes is no longer believed. */
const EVERY_MS = 10_000;
const RETRY_MS = 500;
const COOLDOWN_MS = 1000;
/** How long the last set is believed while serve cannot be asked. */
const KEEP_MS = 3_600_000;

/** serve's public keys, fetched beside the requests. The set is replaced as a whole: a key that is gone is gone. */
export function createPublicKeys(options: PublicKeysOptions): PublicKeys {
  const { monotonic, later = timer } = options;
  const published = new PublishedKeys(options);
  const fetches = new PacedFetches({ load: () => published.load(), monotonic, later });
  return {
    find: (kid) => published.find(kid),
    refresh: () => fetches.refresh(),
    start: () => fetches.fetchNow(),
    ready: () => published.size > 0,
    lastError: () => published.lastError,
    close: () => fetches.close(),
  };
}

/** The last set that was read, for as long as it is believed. */
class PublishedKeys {
  readonly #options: PublicKeysOptions;
  #keys: ReadonlyMap<string, PublicKey> = new Map();
  #lastError: string | null = "not fetched yet";
  #fetchedAt = -Infinity;

  constructor(options: PublicKeysOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#keys.size;
  }

  get lastError(): string | null {
    return this.#lastError;
  }

  find(kid: string): KeyObject | undefined {
    return this.#keys.get(kid)?.key;
  }

  /** Resolves to true when the set could be fetched. */
  async load(): Promise<boolean> {
    const { url, fetch: fetcher, monotonic } = this.#options;
    try {
      const response = await fetcher(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new Error(`status ${response.status}`);
      }
      this.#keys = readKeySet(await readLimited(response, MAX_BYTES), this.#keys);
      this.#fetchedAt = monotonic();
      this.#lastError = null;
    } catch (error) {
      this.#lastError = describe(error);
      if (monotonic() - this.#fetchedAt > KEEP_MS) this.#keys = new Map();
    }
    return this.#lastError === null;
  }
}

interface Pace {
  /** Resolves to true when it went well. */
  readonly load: () => Promise<boolean>;
  readonly monotonic: () => number;
  readonly later: Later;
}

/** When to fetch: one at a time, again and again, and for whoever asks once the cool-down is over. */
class PacedFetches {
  readonly #pace: Pace;
  #triedAt = -Infinity;
  #flight: Promise<void> | null = null;
  /** A fetch that waits for the cool-down. */
  #pending: { readonly done: Promise<void>; cancel(): void } | null = null;
  #next: { cancel(): void } | null = null;
  #closed = false;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  /** One for all who ask while it is under way. */
  fetchNow(): Promise<void> {
    this.#flight ??= this.#fetch();
    return this.#flight;
  }

  refresh(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const wait = this.#triedAt + COOLDOWN_MS - this.#pace.monotonic();
    return wait <= 0 ? this.fetchNow() : this.#fetchLater(wait);
  }

  close(): void {
    this.#closed = true;
    this.#next?.cancel();
    this.#pending?.cancel();
  }

  async #fetch(): Promise<void> {
    const { load, monotonic, later } = this.#pace;
    this.#triedAt = monotonic();
    const isGood = await load();
    this.#flight = null;
    this.#next?.cancel();
    if (!this.#closed) this.#next = later(() => void this.fetchNow(), isGood ? EVERY_MS : RETRY_MS);
  }

  /** A fetch at the end of the cool-down; one for all who wait. */
  #fetchLater(milliseconds: number): Promise<void> {
    if (this.#pending === null) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const alarm = this.#pace.later(() => {
        this.#pending = null;
        void this.fetchNow().then(resolve);
      }, milliseconds);
      const cancel = () => {
        alarm.cancel();
        resolve();
      };
      this.#pending = { done: promise, cancel };
    }
    return this.#pending.done;
  }
}

function timer(run: () => void, milliseconds: number): { cancel(): void } {
  const handle = setTimeout(run, milliseconds);
  handle.unref();
  return { cancel: () => clearTimeout(handle) };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return "failed";
  if (error.name === "TimeoutError") return "timed out";
  const { cause } = error;
  return cause instanceof Error && "code" in cause ? String(cause.code) : error.message.slice(0, 120);
}
