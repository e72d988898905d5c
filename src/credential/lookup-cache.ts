// A cache of credential lookups with single flight, bounded in entries and bytes. Pure; the fetch is passed in.
import { LRUCache } from "lru-cache";
import { untilAborted } from "../async/abortable.ts";
import type { Identity } from "../authz/types.ts";
import { isSameCredential, type Lookup, type RefusedCredential } from "./source.ts";

/** A lookup, and the time for which it may be used again; 0: only by the callers that wait for it now. */
export interface CacheEntry {
  readonly lookup: Lookup;
  readonly ttlMs: number;
  /**
   * Milliseconds since the epoch from which on the entry is not used, whatever is left of `ttlMs`: the monotonic clock stands
   * still while the machine sleeps, and a token's `exp` does not (threat model: P12).
   */
  readonly endsAt?: number;
}

/** Asks the store or the IdP once. It has a time limit of its own, because it runs for all waiting callers. */
export type FetchLookup = () => Promise<CacheEntry>;

/** The marks of a caller by which a revocation may name it. */
export interface Owner {
  readonly iss: string;
  readonly sub: string;
  readonly jti: unknown;
  readonly sid: unknown;
}

/** One lookup: its key, its caller, and the fetch on a miss. */
export interface LookupRequest {
  /** Injective over everything that the result depends on; see {@link cacheKey}. */
  readonly key: string;
  readonly identity: Identity;
  readonly ask: FetchLookup;
  /** Its server has refused this credential: an entry that still has it is fetched anew, if that may be asked now. */
  readonly refused?: RefusedCredential | undefined;
}

export interface LookupCache {
  get(request: LookupRequest, signal: AbortSignal): Lookup | Promise<Lookup>;
  /** Drops the entries of these callers at once; the results of fetches in flight for them are not cached. */
  purge(isRevoked: (owner: Owner) => boolean): void;
}

interface Flight {
  readonly owner: Owner;
  readonly lookup: Promise<Lookup>;
}

export interface LookupCacheOptions {
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic?: () => number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly maxEntries?: number;
  /** Bytes of memory; 32 MiB by default. */
  readonly maxBytes?: number;
  /** Counts for the metrics: a hit, a miss, or a caller that joined a fetch in flight. */
  readonly count?: (result: "hit" | "miss" | "joined") => void;
}

/** Makes the key of a tuple. Injective: no two tuples have one key, whatever is in the parts (threat model: P4). */
export function cacheKey(...parts: readonly (string | null)[]): string {
  return JSON.stringify(parts);
}

const MAX_BYTES = 32 * 1024 * 1024;
/** Bytes of an entry beside its key and its credential. */
const ENTRY_BYTES = 1024;

const LATE: Lookup = { cannotTell: "the time of this Check ended before the answer came" };
const BROKEN: Lookup = { cannotTell: "internal" };

/**
 * Makes the cache. Concurrent requests for one key share one fetch. *Cannot tell* is never cached: the next Check asks again,
 * so that a dependency that is back is used at once.
 */
export function createLookupCache({
  maxEntries = 10_000,
  maxBytes = MAX_BYTES,
  monotonic = () => performance.now(),
  now = Date.now,
  count = () => {},
}: LookupCacheOptions = {}): LookupCache {
  const entries = new LRUCache<string, CacheEntry & { readonly owner: Owner }>({
    max: maxEntries,
    maxSize: maxBytes,
    sizeCalculation: ({ lookup }, key) => ENTRY_BYTES + key.length + lengthOf(lookup),
    ttlResolution: 0,
    perf: { now: monotonic },
  });
  const flights = new Map<string, Flight>();

  function start({ key, identity, ask }: LookupRequest): Flight {
    const owner = ownerOf(identity);
    const isCurrent = () => flights.get(key) === flight; // not purged
    const lookup = ask()
      .then((entry) => {
        const isCacheable = isCurrent() && entry.ttlMs >= 1 && !("cannotTell" in entry.lookup);
        if (isCacheable) entries.set(key, { ...markCached(entry), owner }, { ttl: Math.floor(entry.ttlMs) });
        return entry.lookup;
      })
      .catch(() => BROKEN)
      .finally(() => isCurrent() && flights.delete(key));
    const flight: Flight = { owner, lookup };
    flights.set(key, flight);
    return flight;
  }

  return {
    get(request, signal) {
      const hit = entries.get(request.key);
      const flight = flights.get(request.key);
      // The entry of a refused credential stays until there is another: a server's 401 takes nothing away.
      if (hit !== undefined && isAlive(hit, now()) && !isFetchedAnew(hit.lookup, request, flight !== undefined)) {
        count("hit");
        return hit.lookup;
      }
      count(flight === undefined ? "miss" : "joined");
      return untilAborted((flight ?? start(request)).lookup, signal).catch(() => LATE); // the flight goes on for the others
    },
    purge(isRevoked) {
      for (const [key, { owner }] of flights) if (isRevoked(owner)) flights.delete(key);
      for (const [key, { owner }] of [...entries.entries()]) if (isRevoked(owner)) entries.delete(key);
    },
  };
}

/** True for a refused credential, while it is being fetched already or if it may be. */
function isFetchedAnew(lookup: Lookup, { refused }: LookupRequest, isUnderWay: boolean): boolean {
  if (refused === undefined || !("found" in lookup)) return false;
  return isSameCredential(lookup.found, refused.credential) && (isUnderWay || refused.mayAsk());
}

/** Only what was fetched for another Check can be out of date. */
function markCached(entry: CacheEntry): CacheEntry {
  const { lookup } = entry;
  if (!("found" in lookup)) return entry;
  return { ...entry, lookup: { found: Object.freeze({ ...lookup.found, isCached: true }) } };
}

function isAlive({ endsAt }: CacheEntry, now: number): boolean {
  return endsAt === undefined || endsAt > now;
}

function lengthOf(lookup: Lookup): number {
  return "found" in lookup ? (lookup.found.value?.length ?? 0) : 0;
}

/** The marks of a caller. */
export function ownerOf({ issuer, subject, claims }: Identity): Owner {
  return { iss: issuer, sub: subject, jti: claims["jti"], sid: claims["sid"] };
}
