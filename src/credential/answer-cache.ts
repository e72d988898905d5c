import { LRUCache } from "lru-cache";
import { untilAborted } from "../async/abortable.ts";
import type { Identity } from "../authz/types.ts";
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

/** By what a revocation may name the caller for whom was asked. */
export interface Owner {
  readonly iss: string;
  readonly sub: string;
  readonly jti: unknown;
  readonly sid: unknown;
}

/** What is to be known, for whom, and how it is found out. */
export interface Question {
  /** Injective over everything that the answer depends on (design 5.8), see {@link cacheKey}. */
  readonly key: string;
  readonly identity: Identity;
  readonly ask: Ask;
}

export interface AnswerCache {
  get(question: Question, signal: AbortSignal): Answer | Promise<Answer>;
  /** Forgets at once what was found for these callers, and keeps nothing of what is being asked for them. */
  purge(isRevoked: (owner: Owner) => boolean): void;
}

interface Flight {
  readonly owner: Owner;
  readonly answer: Promise<Answer>;
}

export interface AnswerCacheOptions {
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic?: () => number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly maxEntries?: number;
  /** Of memory; 32 MiB unless told. */
  readonly maxBytes?: number;
  /** Counts for the metrics: a hit, a miss, or a caller who joined a question under way. */
  readonly count?: (result: "hit" | "miss" | "joined") => void;
}

/** One text for a tuple: no two tuples share one, whatever is in the parts (property P4). */
export function cacheKey(...parts: readonly (string | null)[]): string {
  return JSON.stringify(parts);
}

const MAX_BYTES = 32 * 1024 * 1024;
/** What an entry takes beside its key and its credential. */
const ENTRY_BYTES = 1024;

const LATE: Answer = { cannotTell: "the time of this Check ended before the answer came" };
const BROKEN: Answer = { cannotTell: "internal" };

/**
 * Answers by key, each asked for once however many callers wait (single flight). *Cannot tell* is never kept: the next
 * Check asks again, so that a dependency that is back is used at once.
 */
export function createAnswerCache({
  maxEntries = 10_000,
  maxBytes = MAX_BYTES,
  monotonic = () => performance.now(),
  now = Date.now,
  count = () => {},
}: AnswerCacheOptions = {}): AnswerCache {
  const kept = new LRUCache<string, Kept & { readonly owner: Owner }>({
    max: maxEntries,
    maxSize: maxBytes,
    sizeCalculation: ({ answer }, key) => ENTRY_BYTES + key.length + lengthOf(answer),
    ttlResolution: 0,
    perf: { now: monotonic },
  });
  const underWay = new Map<string, Flight>();

  function start({ key, identity, ask }: Question): Flight {
    const owner = ownerOf(identity);
    const isCurrent = () => underWay.get(key) === flight; // not purged
    const answer = ask()
      .then((result) => {
        const { answer, ttlMs } = result;
        const isKept = isCurrent() && ttlMs >= 1 && !("cannotTell" in answer);
        if (isKept) kept.set(key, { ...result, owner }, { ttl: Math.floor(ttlMs) });
        return answer;
      })
      .catch(() => BROKEN)
      .finally(() => isCurrent() && underWay.delete(key));
    const flight: Flight = { owner, answer };
    underWay.set(key, flight);
    return flight;
  }

  return {
    get(question, signal) {
      const hit = kept.get(question.key);
      if (hit !== undefined && (hit.endsAt === undefined || hit.endsAt > now())) {
        count("hit");
        return hit.answer;
      }
      const flight = underWay.get(question.key);
      count(flight === undefined ? "miss" : "joined");
      return untilAborted((flight ?? start(question)).answer, signal).catch(() => LATE); // the flight goes on for the others
    },
    purge(isRevoked) {
      for (const [key, { owner }] of underWay) if (isRevoked(owner)) underWay.delete(key);
      for (const [key, { owner }] of [...kept.entries()]) if (isRevoked(owner)) kept.delete(key);
    },
  };
}

function lengthOf(answer: Answer): number {
  return "found" in answer ? (answer.found.value?.length ?? 0) : 0;
}

function ownerOf({ issuer, subject, claims }: Identity): Owner {
  return { iss: issuer, sub: subject, jti: claims["jti"], sid: claims["sid"] };
}
