import { createPublicKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import { readJson } from "../mcp/strict-json.ts";

export interface PublicKeys {
  find(kid: string): KeyObject | undefined;
  /** Fetches now, unless that was done a moment ago: for a `kid` that nobody knows yet. */
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
  readonly monotonic: () => number;
}

const jwkSet = z.object({
  keys: z
    .array(
      z.object({
        kty: z.literal("EC"),
        crv: z.literal("P-256"),
        x: z.string(),
        y: z.string(),
        kid: z.string(),
        d: z.undefined().optional(),
      }),
    )
    .min(1)
    .max(64),
});
const MAX_BYTES = 64 * 1024;
const TIMEOUT_MS = 3000;
const EVERY_MS = 60_000;
const RETRY_MS = 500;
const COOLDOWN_MS = 1000;

/** serve's public keys, fetched beside the requests. The set is replaced as a whole: a key that is gone is gone. */
export function createPublicKeys({ url, fetch: fetcher, monotonic }: PublicKeysOptions): PublicKeys {
  let keys = new Map<string, KeyObject>();
  let lastError: string | null = "not fetched yet";
  let triedAt = -Infinity;
  let flight: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  async function load(): Promise<void> {
    triedAt = monotonic();
    try {
      const response = await fetcher(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (response.status !== 200) throw new Error(`status ${response.status}`);
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (bytes.length > MAX_BYTES) throw new Error("too large");
      const json = readJson(bytes);
      const { keys: jwks } = jwkSet.parse(json.ok ? json.value : null);
      keys = new Map(
        jwks.map(({ kty, crv, x, y, kid }) => [kid, createPublicKey({ key: { kty, crv, x, y }, format: "jwk" })]),
      );
      lastError = null;
    } catch (error) {
      lastError = error instanceof Error ? error.name : "failed";
    }
  }

  function fetchOnce(): Promise<void> {
    flight ??= load().finally(() => {
      flight = null;
      clearTimeout(timer);
      if (closed) return;
      timer = setTimeout(() => void fetchOnce(), lastError === null ? EVERY_MS : RETRY_MS);
      timer.unref();
    });
    return flight;
  }

  return {
    find: (kid) => keys.get(kid),
    refresh: () => (flight === null && monotonic() - triedAt < COOLDOWN_MS ? Promise.resolve() : fetchOnce()),
    start: fetchOnce,
    ready: () => keys.size > 0,
    lastError: () => lastError,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
