// Tells the supervisor which Check the serving thread evaluates policy for, and since when: a SharedArrayBuffer that the thread
// writes and the supervisor reads. No I/O.
import type { InFlight } from "../../authz/in-flight.ts";
import { NO_SLOT, type CheckFacts } from "../../authz/facts.ts";

/** Int32 indexes: evaluations entered, evaluations left, slot of the current Check. */
const ENTERED = 0;
const LEFT = 1;
const SLOT = 2;

export function newHeartbeat(): SharedArrayBuffer {
  return new SharedArrayBuffer(12);
}

/**
 * For the serving thread, around every evaluation. `attribute` names its Check, which is noted in the table before the evaluation begins.
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
  /** Wall-clock limit of one evaluation, in milliseconds, for a thread that gets no CPU or cannot be asked. */
  readonly timeoutMs: number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** CPU time of the thread since its start, in milliseconds. */
  readonly cpu: () => Promise<number>;
  /** Called once for each slow evaluation. @param slot of its Check; `NO_SLOT` without one */
  readonly onSlow: (slot: number) => void;
}

/** After a thread's end: the slot of the evaluation that it was in (`NO_SLOT`: for no Check); null if in none. */
export function slotUnderWay(buffer: SharedArrayBuffer): number | null {
  const counts = new Int32Array(buffer);
  const isEvaluating = Atomics.load(counts, ENTERED) !== Atomics.load(counts, LEFT);
  return isEvaluating ? Atomics.load(counts, SLOT) : null;
}

/** One evaluation as the supervisor samples it. */
interface Evaluation {
  readonly entered: number;
  readonly slot: number;
  readonly since: number;
  /** CPU time of the thread at the first and at the last sample within this evaluation. */
  first: number;
  last: number;
  slow: boolean;
}

/**
 * For the supervisor: a function to be called at an interval. It gives the slot (`NO_SLOT`: no Check) of an evaluation that
 * has used more CPU than `limitMs`, else null. Wall-clock time alone would end threads that wait for a core on a busy machine.
 */
export function createWatch(buffer: SharedArrayBuffer, options: WatchOptions): () => number | null {
  const { limitMs, slowMs, timeoutMs, monotonic, cpu, onSlow } = options;
  const counts = new Int32Array(buffer);
  let current: Evaluation = { entered: 0, slot: NO_SLOT, since: 0, first: Number.NaN, last: Number.NaN, slow: false };
  let asking = false;
  const isUnderWay = ({ entered }: Evaluation) =>
    entered === Atomics.load(counts, ENTERED) && entered !== Atomics.load(counts, LEFT);

  function ask(about: Evaluation): void {
    if (asking) return;
    asking = true;
    cpu()
      .then((used) => {
        if (!isUnderWay(about)) return; // the sample may belong to the next evaluation
        if (Number.isNaN(about.first)) about.first = used;
        about.last = used;
        if (about.slow || about.last - about.first <= slowMs(about.slot)) return;
        about.slow = true;
        onSlow(about.slot);
      })
      .catch(() => {}) // the thread has ended or cannot be asked: `timeoutMs` decides
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
    const isOver = current.last - current.first > limitMs || monotonic() - current.since > timeoutMs;
    // Another evaluation may have begun between reading its number and its slot: then the number has changed.
    return isOver && isUnderWay(current) ? current.slot : null;
  };
}
