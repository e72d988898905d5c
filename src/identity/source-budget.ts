// Bounds the failed verifications of one source address. Pure; time comes from the clock that is passed in.
import { LRUCache } from "lru-cache";

export interface SourceBudget {
  /** True while the source has used up its budget of failures. */
  isSpent(source: string): boolean;
  /** Counts one failure. */
  spend(source: string): void;
}

export interface SourceBudgetOptions {
  readonly perSecond: number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
}

/** Burst, in seconds of the rate: a client that retries an old token still gets 401, not 429. */
const BURST_SECONDS = 10;
/** Sources that are counted; the one that failed longest ago is evicted. */
const MAX_SOURCES = 10_000;

/** Makes a leaky bucket for each source that has failed: failures fill it, and it drains over time. */
export function createSourceBudget({ perSecond, monotonic }: SourceBudgetOptions): SourceBudget {
  const burst = perSecond * BURST_SECONDS;
  const sources = new LRUCache<string, { level: number; at: number }>({ max: MAX_SOURCES });

  function levelOf({ level, at }: { level: number; at: number }, now: number): number {
    return Math.max(0, level - ((now - at) * perSecond) / 1000);
  }

  return {
    isSpent(source) {
      const found = sources.get(source);
      return found !== undefined && levelOf(found, monotonic()) > burst - 1;
    },
    spend(source) {
      const now = monotonic();
      const found = sources.get(source);
      const level = found === undefined ? 0 : levelOf(found, now);
      sources.set(source, { level: Math.min(burst, level + 1), at: now });
    },
  };
}
