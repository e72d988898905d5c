// A round-robin scheduler: bounded work per turn of the event loop, keys in turn. No I/O but `setImmediate`.

export interface FairTurnsOptions {
  /** Tasks that begin in one turn of the event loop. */
  readonly perTurn: number;
  /** Tasks under way at a time, of all keys. */
  readonly maxActive: number;
  /** Tasks of one key, under way and waiting. */
  readonly maxPerKey: number;
  /** Tasks that wait, of all keys; beyond, one of the key with most leaves for a key with fewer. */
  readonly maxWaiting: number;
  /** Runs something in the next turn of the event loop. */
  readonly nextTurn?: (run: () => void) => void;
}

/** The reason for which a task did not begin: too many tasks, or its signal aborted before its turn. */
export type TurnFault = "full" | "late";

export interface FairTurns {
  run<T extends object>(key: string, task: () => Promise<T>, signal: AbortSignal): Promise<T | TurnFault>;
}

/** @param fault null when the turn has come */
type Waiter = (fault: TurnFault | null) => void;

/**
 * Begins a few tasks in each turn of the event loop, so that other work runs in between. The rest wait, and each waiting
 * key gets one turn before any key gets another.
 */
export function createFairTurns(options: FairTurnsOptions): FairTurns {
  const turns = new Turns(options);
  return {
    async run(key, task, signal) {
      const fault = turns.tryEnter(key) ?? (await turns.wait(key, signal));
      if (fault !== null && fault !== "entered") return fault;
      try {
        return await task();
      } finally {
        turns.leave(key);
      }
    },
  };
}

class Turns {
  readonly #options: FairTurnsOptions;
  readonly #nextTurn: (run: () => void) => void;
  /** Waiters by key; the key with the next turn comes first. */
  readonly #waiting = new Map<string, Set<Waiter>>();
  /** Tasks under way and waiting, by key. */
  readonly #tasks = new Map<string, number>();
  #waiters = 0;
  #active = 0;
  #begun = 0;
  #isScheduled = false;

  constructor(options: FairTurnsOptions) {
    this.#options = options;
    this.#nextTurn = options.nextTurn ?? ((run) => void setImmediate(run));
  }

  /** Takes a turn at once, or returns null: call {@link wait}. */
  tryEnter(key: string): "entered" | "full" | null {
    const tasks = this.#tasks.get(key) ?? 0;
    if (tasks >= this.#options.maxPerKey) return "full";
    const isFree = this.#waiters === 0 && this.#hasTurn();
    if (!isFree && this.#waiters >= this.#options.maxWaiting && !this.#makeRoom(tasks + 1)) return "full";
    this.#tasks.set(key, tasks + 1);
    if (!isFree) return null;
    this.#begin();
    return "entered";
  }

  /** Waits for a turn, after {@link tryEnter} returned null. */
  wait(key: string, signal: AbortSignal): Promise<TurnFault | null> {
    return new Promise((done) => {
      const waiters = this.#waiting.get(key) ?? new Set();
      const onAbort = () => end("late");
      const end: Waiter = (fault) => {
        signal.removeEventListener("abort", onAbort);
        this.#remove(key, end);
        if (fault !== null) this.#forget(key);
        done(fault);
      };
      this.#waiting.set(key, waiters.add(end));
      this.#waiters += 1;
      if (signal.aborted) end("late");
      else signal.addEventListener("abort", onAbort, { once: true });
      this.#schedule();
    });
  }

  leave(key: string): void {
    this.#active -= 1;
    this.#forget(key);
    if (this.#waiters > 0) this.#schedule();
  }

  #hasTurn(): boolean {
    return this.#begun < this.#options.perTurn && this.#active < this.#options.maxActive;
  }

  #begin(): void {
    this.#active += 1;
    this.#begun += 1;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#nextTurn(() => {
      this.#isScheduled = false;
      this.#begun = 0;
      while (this.#waiters > 0 && this.#hasTurn()) this.#beginNext();
    });
  }

  #beginNext(): void {
    for (const [key, waiters] of this.#waiting) {
      const [first] = waiters;
      if (first === undefined) continue;
      this.#begin();
      first(null);
      // The key goes to the end of the queue.
      if (this.#waiting.delete(key) && waiters.size > 0) this.#waiting.set(key, waiters);
      return;
    }
  }

  /** Drops the last waiter of the longest queue for a key that has fewer tasks, so that two keys cannot lock out a third. */
  #makeRoom(tasks: number): boolean {
    let longest: ReadonlySet<Waiter> = new Set();
    for (const waiters of this.#waiting.values()) if (waiters.size > longest.size) longest = waiters;
    if (longest.size <= tasks) return false;
    [...longest].at(-1)?.("full");
    return true;
  }

  #remove(key: string, waiter: Waiter): void {
    const waiters = this.#waiting.get(key);
    if (waiters?.delete(waiter) !== true) return;
    this.#waiters -= 1;
    if (waiters.size === 0) this.#waiting.delete(key);
  }

  #forget(key: string): void {
    const tasks = (this.#tasks.get(key) ?? 1) - 1;
    if (tasks === 0) this.#tasks.delete(key);
    else this.#tasks.set(key, tasks);
  }
}
