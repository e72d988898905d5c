// Cuts long work into slices of the event loop, so that requests have their turn in between.
import { setImmediate as turn } from "node:timers/promises";

export interface Slices {
  /** Counts work, in bytes that were read; null, or a promise of the next turn once a slice is full. */
  spend(bytes: number): Promise<void> | null;
  /** Slices so far: what a test can count. */
  readonly count: number;
}

/** Read byte by byte and cleaned, at the slowest some 10 MB/s: a few milliseconds. */
const SLICE_BYTES = 64 * 1024;

/** @param next resolves when it is this work's turn again */
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
