// Memory for one response while it is collected: reserved from its caller's bytes (held-bytes.ts) step by step. Pure.
import { HttpFault } from "../http/client.ts";
import type { Hold } from "./held-bytes.ts";
import { faultIn } from "./abort.ts";

export interface Room {
  /** Takes the first step. @throws {HttpFault} {@link NO_ROOM}, or why the signal ended the wait */
  begin(): Promise<void>;
  /** Null if so many bytes are reserved, else a promise of them. Gives back what a collector that shrank no longer needs. */
  need(bytes: number): Promise<void> | null;
  /** Gives back all but so many bytes: the response is complete. */
  settle(bytes: number): void;
  /** {@link NO_ROOM} for a call whose time ended while it waited for room; else the error itself. */
  faultFor(error: unknown): unknown;
}

/** The caller's account, and the signal that ends a wait. */
export interface RoomOptions {
  readonly hold: Hold;
  readonly signal: AbortSignal;
}

/** The fault's code of a call for which there was no room in its time. */
export const NO_ROOM = "held_bytes";

/**
 * Reserves in few steps: what content-length announces, or a little and then the most that may come. So responses that hold
 * something and wait for more hold little, and the others can be completed: no deadlock.
 * @param steps in ascending order; the last one is the most that is ever taken
 */
export function createRoom({ hold, signal }: RoomOptions, steps: readonly [number, ...number[]]): Room {
  const { most } = hold;
  const first = Math.min(steps[0], most);
  let taken = 0;
  let isWaiting = false;

  async function grow(to: number): Promise<void> {
    isWaiting = true;
    // More than a caller may have in all: waiting would not help.
    if (to > most) throw new HttpFault(NO_ROOM);
    try {
      await hold.wait(to - taken, signal);
    } catch (error) {
      throw faultFor(error);
    }
    isWaiting = false;
    taken = to;
  }

  function shrink(to: number): void {
    hold.give(taken - to);
    taken = to;
  }

  function faultFor(error: unknown): unknown {
    return isWaiting && signal.aborted && faultIn(signal).code === "timeout" ? new HttpFault(NO_ROOM) : error;
  }

  return {
    begin: () => grow(steps.length === 1 ? steps[0] : first),
    need(bytes) {
      if (isWaiting) return null; // the response is paused already
      if (bytes <= first && taken > first) shrink(first);
      if (bytes <= taken) return null;
      const next = steps.find((step) => step >= bytes) ?? bytes;
      return grow(bytes <= most ? Math.min(next, most) : next);
    },
    settle(bytes) {
      if (!isWaiting && bytes < taken) shrink(bytes);
    },
    faultFor,
  };
}
