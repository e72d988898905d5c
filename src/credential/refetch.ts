// Calls whose credential came out of a cache, for as long as their wristbands live: when a server answers one with 401, its
// credential is fetched anew, once. Bounded in calls and in requests to stores; pure but for the look-up that is passed in.
import { LRUCache } from "lru-cache";
import type { RelayedCall } from "../authz/ports.ts";
import type { BoundCredential, Credential } from "../authz/types.ts";
import type { AskChain } from "./chain.ts";
import { ownerOf, type Owner } from "./lookup-cache.ts";
import { isSameCredential } from "./source.ts";

/**
 * The end of one refetch; also the labels of a metric. `renewed`: another credential; `same`: the store still has the refused one,
 * or was asked a moment ago; `none`: the caller has none any more; `unavailable`: it could not be told in time; `unknown`: no such
 * call, or it was asked for before; `busy`: too many at a time.
 */
export const REFETCH_RESULTS = ["renewed", "same", "none", "unavailable", "unknown", "busy"] as const;
export type RefetchResult = (typeof REFETCH_RESULTS)[number];

export type Refetched =
  | { readonly result: "renewed"; readonly credential: BoundCredential; readonly call: RelayedCall }
  | { readonly result: Exclude<RefetchResult, "renewed"> };

export interface Refetcher {
  /** Keeps a call whose credential is a cached one. @param ask along the chain that it came from */
  keep(call: RelayedCall, ask: AskChain): void;
  /**
   * Fetches the credential of a call anew; each call once.
   * @param server that answered 401: it must be the call's
   * @param isKnown whether who asks has shown that it knows the refused credential
   */
  refetch(jti: string, server: string, isKnown?: (refused: Credential) => boolean): Promise<Refetched>;
  /** Forgets the calls of callers who are revoked. */
  purge(isRevoked: (owner: Owner) => boolean): void;
  readonly size: number;
}

export interface RefetcherOptions {
  /** Life of a wristband, in milliseconds. */
  readonly ttlMs: number;
  /** Time for one refetch, in milliseconds. */
  readonly timeoutMs: number;
  /** Where a server is now: what its store has by then is for that place, not for the one that a call under way goes to. */
  readonly destinationOf: (server: string) => string | undefined;
  readonly maxCalls?: number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic?: () => number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** A server that always answers 401 costs one request to the store per caller in this time, in milliseconds. */
export const COOL_DOWN_MS = 10_000;
/** Refetches for one server at a time: its 401s must not keep the stores from the others. */
export const MAX_PER_SERVER = 32;
const MAX_CALLS = 10_000;
const MAX_CALLERS = 10_000;

const unavailable = (): Refetched => ({ result: "unavailable" });

interface Kept {
  readonly call: RelayedCall;
  readonly ask: AskChain;
}

export function createRefetcher(options: RefetcherOptions): Refetcher {
  const { ttlMs, timeoutMs, maxCalls = MAX_CALLS, monotonic = () => performance.now(), now = Date.now } = options;
  const perf = { now: monotonic };
  const kept = new LRUCache<string, Kept>({ max: maxCalls, ttl: ttlMs, ttlResolution: 0, perf });
  const cooling = new LRUCache<string, true>({ max: MAX_CALLERS, ttl: COOL_DOWN_MS, ttlResolution: 0, perf });
  const begin = createCount();

  /** @returns true once per caller and server in the time of the cool-down */
  const mayAsk = ({ server, identity: { issuer, subject } }: RelayedCall) => {
    const key = JSON.stringify([server, issuer, subject]);
    if (cooling.get(key) === true) return false;
    cooling.set(key, true);
    return true;
  };

  async function fetchAnew({ call, ask }: Kept): Promise<Refetched> {
    const { server, identity, credential } = call;
    const refused = { credential, mayAsk: () => mayAsk(call) };
    const step = await ask(server, { identity, refused }, AbortSignal.timeout(timeoutMs));
    if (!step.ok) return { result: step.reason === "credential_missing" ? "none" : "unavailable" };
    const isOther = step.value.value !== null && !isSameCredential(step.value, credential);
    return isOther ? { result: "renewed", credential: step.value, call } : { result: "same" };
  }

  return {
    keep(call, ask) {
      if (call.credential.isCached === true) kept.set(call.jti, { call, ask });
    },
    async refetch(jti, server, isKnown = () => true) {
      const found = kept.get(jti);
      if (found === undefined || found.call.server !== server) return { result: "unknown" };
      if (!isKnown(found.call.credential)) return { result: "unknown" };
      kept.delete(jti);
      if (found.call.credential.destination !== options.destinationOf(server)) return unavailable();
      if (found.call.identity.expiresAt * 1000 <= now()) return { result: "unknown" };
      const isDone = begin(server);
      return isDone === null ? { result: "busy" } : await fetchAnew(found).catch(unavailable).finally(isDone);
    },
    purge(isRevoked) {
      for (const [jti, { call }] of [...kept.entries()]) if (isRevoked(ownerOf(call.identity))) kept.delete(jti);
    },
    get size() {
      return kept.size;
    },
  };
}

/** Counts the refetches for each server: a begun one until its result is called; null where there are too many. */
function createCount(): (server: string) => (() => void) | null {
  const active = new Map<string, number>();
  return (server) => {
    const running = active.get(server) ?? 0;
    if (running >= MAX_PER_SERVER) return null;
    active.set(server, running + 1);
    return () => {
      const left = (active.get(server) ?? 1) - 1;
      if (left === 0) active.delete(server);
      else active.set(server, left);
    };
  };
}
