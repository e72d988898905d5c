// Several threads write one audit log, each its lines in order: one writes at a time, so that no line is cut by another's. Pure but
// for the memory that they share.

export interface AuditTurns {
  /** Resolves when this thread may write. */
  take(): Promise<void>;
  give(): void;
  /** True while the last line in the log is not whole, or may not be. */
  isTorn(): boolean;
  setTorn(isTorn: boolean): void;
}

/** Int32 indexes: whose turn it is (0: nobody's), and whether the last line is torn. */
const OWNER = 0;
const TORN = 1;
/** A thread that waits looks again after this time. */
const LOOK_AGAIN_MS = 100;

export function newAuditTurns(): SharedArrayBuffer {
  return new SharedArrayBuffer(8);
}

/** @param index of the worker */
export function createAuditTurns(buffer: SharedArrayBuffer, index: number): AuditTurns {
  const words = new Int32Array(buffer);
  const own = index + 1;
  return {
    async take() {
      for (;;) {
        const owner = Atomics.compareExchange(words, OWNER, 0, own);
        if (owner === 0) return;
        await Atomics.waitAsync(words, OWNER, owner, LOOK_AGAIN_MS).value;
      }
    },
    give: () => giveBack(words, own),
    isTorn: () => Atomics.load(words, TORN) !== 0,
    setTorn: (isTorn) => void Atomics.store(words, TORN, isTorn ? 1 : 0),
  };
}

/** A thread has ended, maybe in its turn. */
export function endAuditTurn(buffer: SharedArrayBuffer, index: number): void {
  giveBack(new Int32Array(buffer), index + 1);
}

function giveBack(words: Int32Array, own: number): void {
  if (Atomics.compareExchange(words, OWNER, own, 0) === own) Atomics.notify(words, OWNER, 1);
}
