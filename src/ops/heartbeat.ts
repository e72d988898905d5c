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

/** For the watcher of a thread. */
export interface Watch {
  /** True while the evaluation of the last look is still under way: only then it is worth to ask what it has spent. */
  suspects(): boolean;
  /**
   * True once that evaluation has spent more than the limit.
   * @param spentMs CPU time of the thread so far: on a busy machine a short evaluation takes long by any clock
   */
  isRunningAway(spentMs: number): boolean;
}

export function createWatch(buffer: SharedArrayBuffer, limitMs: number): Watch {
  const counts = new Int32Array(buffer);
  let seen: number | null = null;
  let since: number | null = null;
  return {
    suspects() {
      const entered = Atomics.load(counts, ENTERED);
      const underWay = entered === Atomics.load(counts, LEFT) ? null : entered;
      const same = underWay !== null && underWay === seen;
      if (!same) since = null;
      seen = underWay;
      return same;
    },
    isRunningAway(spentMs) {
      since ??= spentMs;
      return spentMs - since > limitMs;
    },
  };
}
