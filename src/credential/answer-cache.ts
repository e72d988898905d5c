import { LRUCache } from "lru-cache";
import type { Answer } from "./source.ts";

/** An answer and how long it may be used again; 0: for nobody but those who wait for it now. */
export interface Kept {
  readonly answer: Answer;
  readonly ttlMs: number;
  /**
   * Milliseconds since the epoch from which on it is not used, whatever is left of `ttlMs`: a clock that stands still
   * while the machine sleeps knows nothing of a token's `exp` (property P12).
   */
  readonly endsAt?: number;
}

/** Asks the store or the IdP once. Has its own time limit: it runs for everybody who waits, not for one of them. */
export type Ask = () => Promise<Kept>;

export interface AnswerCache {
  /** @param key injective over everything that the answer depends on (design 5.8), see {@link cacheKey} */
  get(key: string, ask: Ask, signal: AbortSignal): Answer | Promise<Answer>;
}

export interface AnswerCacheOptions {
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic?: () => number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly maxEntries?: number;
  /** Counts for the metrics: a hit, a miss, or a caller who joined a question under way. */
  readonly count?: (result: "hit" | "miss" | "joined") => void;
}

/** One text for a tuple: no two tuples share one, whatever is in the parts (property P4). */
export function cacheKey(...parts: readonly (string | null)[]): string {
  return JSON.stringify(parts);
}

const LATE: Answer = { cannotTell: "the time of this Check ended before the answer came" };
const BROKEN: Answer = { cannotTell: "internal" };

/**
 * Answers by key, each asked for once however many callers wait (single flight). *Cannot tell* is never kept: the next
 * Check asks again, so that a dependency that is back is used at once.
 */
export function createAnswerCache({
  maxEntries = 10_000,
  monotonic = () => performance.now(),
  now = Date.now,
  count = () => {},
}: AnswerCacheOptions = {}): AnswerCache {
  const kept = new LRUCache<string, Kept>({ max: maxEntries, ttlResolution: 0, perf: { now: monotonic } });
  const underWay = new Map<string, Promise<Answer>>();

  function start(key: string, ask: Ask): Promise<Answer> {
    const flight = ask()
      .then((result) => {
        const { answer, ttlMs } = result;
        if (ttlMs >= 1 && !("cannotTell" in answer)) kept.set(key, result, { ttl: Math.floor(ttlMs) });
        return answer;
      })
      .catch(() => BROKEN)
      .finally(() => underWay.delete(key));
    underWay.set(key, flight);
    return flight;
  }

  return {
    get(key, ask, signal) {
      const hit = kept.get(key);
      if (hit !== undefined && (hit.endsAt === undefined || hit.endsAt > now())) {
        count("hit");
        return hit.answer;
      }
      const flight = underWay.get(key);
      count(flight === undefined ? "miss" : "joined");
      return untilAborted(flight ?? start(key, ask), signal);
    },
  };
}

/** The flight's answer, or *cannot tell* when this caller's time is over; the flight goes on for the others. */
async function untilAborted(flight: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  if (signal.aborted) return LATE;
  const ended = Promise.withResolvers<Answer>();
  const onAbort = () => ended.resolve(LATE);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([flight, ended.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
