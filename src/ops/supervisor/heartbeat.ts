// Who evaluates policy, and since when: shared by the serving thread and its watcher.
import type { InFlight } from "../../authz/in-flight.ts";
import { NO_SLOT, type CheckFacts } from "../../authz/facts.ts";

/** Integers that both share: how often the thread entered an evaluation, how often it left one, and for which Check. */
const ENTERED = 0;
const LEFT = 1;
const SLOT = 2;

export function newHeartbeat(): SharedArrayBuffer {
  return new SharedArrayBuffer(12);
}

/**
 * For the thread that is watched: around every evaluation. The Check that it is for stands in the table before it begins.
 */
export function createGuard(buffer: SharedArrayBuffer, inFlight: Pick<InFlight, "note">) {
  const counts = new Int32Array(buffer);
  let check: CheckFacts | null = null;
  return {
    attribute: (facts: CheckFacts) => void (check = facts),
    enter() {
      if (check !== null) inFlight.note(check);
      counts[SLOT] = check?.slot ?? NO_SLOT;
      Atomics.add(counts, ENTERED, 1);
    },
    leave() {
      check = null;
      Atomics.add(counts, LEFT, 1);
    },
  };
}

export interface WatchOptions {
  /** CPU time that one evaluation may use, in milliseconds. */
  readonly limitMs: number;
  /** CPU time from which on an evaluation for this slot's Check is reported as slow, in milliseconds. */
  readonly slowMs: (slot: number) => number;
  /** Time that may go by at most, whatever the thread got of it. */
  readonly patienceMs: number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Milliseconds of CPU that the thread has used since its start. */
  readonly cpu: () => Promise<number>;
  /** Told once of each slow evaluation. @param slot of its Check; `NO_SLOT` when it is for none */
  readonly onSlow: (slot: number) => void;
}

/** The slot of the evaluation that a thread was in when it ended (`NO_SLOT`: for no Check); null when it was in none. */
export function slotUnderWay(buffer: SharedArrayBuffer): number | null {
  const counts = new Int32Array(buffer);
  const isEvaluating = Atomics.load(counts, ENTERED) !== Atomics.load(counts, LEFT);
  return isEvaluating ? Atomics.load(counts, SLOT) : null;
}

/** One evaluation as the watcher sees it. */
interface Watched {
  readonly entered: number;
  readonly slot: number;
  readonly since: number;
  /** CPU of the thread, at the first and at the last time that it could be asked within this evaluation. */
  first: number;
  last: number;
  slow: boolean;
}

/**
 * For the watcher, who calls it again and again: once the same evaluation has used more than its share of CPU, the slot
 * of its Check (`NO_SLOT` when it is for none); null before. Time alone would not do: on a busy machine a thread waits for
 * its turn, and would be ended for that.
 */
export function createWatch(buffer: SharedArrayBuffer, options: WatchOptions): () => number | null {
  const { limitMs, slowMs, patienceMs, monotonic, cpu, onSlow } = options;
  const counts = new Int32Array(buffer);
  let current: Watched = { entered: 0, slot: NO_SLOT, since: 0, first: Number.NaN, last: Number.NaN, slow: false };
  let asking = false;
  const isUnderWay = ({ entered }: Watched) =>
    entered === Atomics.load(counts, ENTERED) && entered !== Atomics.load(counts, LEFT);

  function ask(about: Watched): void {
    if (asking) return;
    asking = true;
    cpu()
      .then((used) => {
        if (!isUnderWay(about)) return; // what it used may be another evaluation's
        if (Number.isNaN(about.first)) about.first = used;
        about.last = used;
        if (about.slow || about.last - about.first <= slowMs(about.slot)) return;
        about.slow = true;
        onSlow(about.slot);
      })
      .catch(() => {}) // the thread has ended, or cannot say: then patience decides
      .finally(() => (asking = false));
  }

  return () => {
    const entered = Atomics.load(counts, ENTERED);
    if (entered === Atomics.load(counts, LEFT)) return null;
    if (entered !== current.entered) {
      const slot = Atomics.load(counts, SLOT);
      current = { entered, slot, since: monotonic(), first: Number.NaN, last: Number.NaN, slow: false };
      return null;
    }
    ask(current);
    const isOver = current.last - current.first > limitMs || monotonic() - current.since > patienceMs;
    // Another evaluation may have begun between reading its number and its slot: then the number has changed.
    return isOver && isUnderWay(current) ? current.slot : null;
  };
}
