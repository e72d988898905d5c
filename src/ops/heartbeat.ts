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

/**
 * For the watcher: true once the same evaluation has been under way for longer than `limitMs`.
 * @param monotonic milliseconds of a clock that never jumps
 */
export function createWatch(buffer: SharedArrayBuffer, limitMs: number, monotonic: () => number): () => boolean {
  const counts = new Int32Array(buffer);
  let seen = 0;
  let since: number | null = null;
  return () => {
    const entered = Atomics.load(counts, ENTERED);
    if (entered === Atomics.load(counts, LEFT)) {
      since = null;
      return false;
    }
    if (since === null || entered !== seen) {
      seen = entered;
      since = monotonic();
    }
    return monotonic() - since > limitMs;
  };
}
