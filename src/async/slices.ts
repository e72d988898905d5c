// Cuts long work into slices of the event loop, so that requests run in between.
import { setImmediate as turn } from "node:timers/promises";

export interface Slices {
  /** Counts work in bytes read. Returns null, or a promise of the next slice when this one is full. */
  spend(bytes: number): Promise<void> | null;
  /** Number of slices so far, for tests. */
  readonly count: number;
}

/** A few milliseconds at the slowest reader's 10 MB/s. */
const SLICE_BYTES = 64 * 1024;

/** @param next resolves in the next turn of the event loop */
export function createSlices(sliceBytes = SLICE_BYTES, next: () => Promise<void> = turn): Slices {
  let left = sliceBytes;
  let count = 1;
  return {
    get count() {
      return count;
    },
    spend(bytes) {
      left -= bytes;
      if (left > 0) return null;
      left = sliceBytes;
      count += 1;
      return next();
    },
  };
}
