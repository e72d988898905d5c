/** Two integers that a thread and its watcher share: how often it entered an evaluation, and how often it left one. */
const ENTERED = 0;
const LEFT = 1;

export function newHeartbeat(): SharedArrayBuffer {
  return new SharedArrayBuffer(8);
}

/** For the thread that is watched: around every evaluation. Costs two atomic additions. */
export function createGuard(buffer: SharedArrayBuffer): { enter(): void; leave(): void } {
  const counts = new Int32Array(buffer);
  return {
    enter: () => void Atomics.add(counts, ENTERED, 1),
    leave: () => void Atomics.add(counts, LEFT, 1),
  };
}

export interface WatchOptions {
  /** CPU time that one evaluation may use, in milliseconds. */
  readonly limitMs: number;
  /** Time that may go by at most, whatever the thread got of it. */
  readonly patienceMs: number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  /** Milliseconds of CPU that the thread has used since its start. */
  readonly cpu: () => Promise<number>;
}

/**
 * For the watcher, who calls it again and again: true once the same evaluation has used more than its share of CPU. Time
 * alone would not do: on a busy machine a thread waits for its turn, and would be ended for that.
 */
export function createWatch(
  buffer: SharedArrayBuffer,
  { limitMs, patienceMs, monotonic, cpu }: WatchOptions,
): () => boolean {
  const counts = new Int32Array(buffer);
  /** The evaluation that is being watched. */
  let current = { entered: 0, since: 0, first: Number.NaN, last: Number.NaN };
  let asking = false;

  function ask(about: typeof current): void {
    if (asking) return;
    asking = true;
    cpu()
      .then((used) => {
        if (Number.isNaN(about.first)) about.first = used;
        about.last = used;
      })
      .catch(() => {}) // the thread has ended, or cannot say: then patience decides
      .finally(() => (asking = false));
  }

  return () => {
    const entered = Atomics.load(counts, ENTERED);
    if (entered === Atomics.load(counts, LEFT)) return false;
    if (entered !== current.entered) {
      current = { entered, since: monotonic(), first: Number.NaN, last: Number.NaN };
      return false;
    }
    ask(current);
    return current.last - current.first > limitMs || monotonic() - current.since > patienceMs;
  };
}
