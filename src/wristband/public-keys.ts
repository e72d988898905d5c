import type { KeyObject } from "node:crypto";
import { readKeySet, type PublicKey } from "./jwk-set.ts";
import { readLimited } from "./read-limited.ts";

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
  readonly later?: (run: () => void, milliseconds: number) => { cancel(): void };
}

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
  const { url, fetch: fetcher, monotonic, later = timer } = options;
  let keys: ReadonlyMap<string, PublicKey> = new Map();
  let lastError: string | null = "not fetched yet";
  let triedAt = -Infinity;
  let fetchedAt = -Infinity;
  let flight: Promise<void> | null = null;
  let pending: { readonly done: Promise<void>; cancel(): void } | null = null; // a fetch that waits for the cool-down
  let next: { cancel(): void } | null = null;
  let closed = false;

  async function load(): Promise<void> {
    triedAt = monotonic();
    try {
      const response = await fetcher(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new Error(`status ${response.status}`);
      }
      keys = readKeySet(await readLimited(response, MAX_BYTES), keys);
      fetchedAt = monotonic();
      lastError = null;
    } catch (error) {
      lastError = describe(error);
      if (monotonic() - fetchedAt > KEEP_MS) keys = new Map();
    }
  }

  function fetchOnce(): Promise<void> {
    flight ??= load().finally(() => {
      flight = null;
      next?.cancel();
      if (!closed) next = later(() => void fetchOnce(), lastError === null ? EVERY_MS : RETRY_MS);
    });
    return flight;
  }

  /** A fetch at the end of the cool-down; one for all who wait. */
  function fetchLater(milliseconds: number): Promise<void> {
    if (pending === null) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const alarm = later(() => {
        pending = null;
        void fetchOnce().then(resolve);
      }, milliseconds);
      const cancel = () => {
        alarm.cancel();
        resolve();
      };
      pending = { done: promise, cancel };
    }
    return pending.done;
  }

  return {
    find: (kid) => keys.get(kid)?.key,
    refresh() {
      if (closed) return Promise.resolve();
      const wait = triedAt + COOLDOWN_MS - monotonic();
      return wait <= 0 ? fetchOnce() : fetchLater(wait);
    },
    start: fetchOnce,
    ready: () => keys.size > 0,
    lastError: () => lastError,
    close() {
      closed = true;
      next?.cancel();
      pending?.cancel();
    },
  };
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
