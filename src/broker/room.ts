// Room for one answer while it is collected: taken from its caller's bytes (held-bytes.ts) step by step.
import { HttpFault } from "../http/client.ts";
import type { Hold } from "./held-bytes.ts";
import { faultIn } from "./abort.ts";

export interface Room {
  /** Takes the first step. @throws {HttpFault} {@link NO_ROOM}, or why the signal ended the wait */
  begin(): Promise<void>;
  /** Null if so many bytes have room, else a promise of it. Gives back what a collector that shrank needs no more. */
  need(bytes: number): Promise<void> | null;
  /** The answer is complete: it needs so many bytes, and no more. */
  settle(bytes: number): void;
  /** The fault that the call failed with: {@link NO_ROOM} if its time ended while it waited for room. */
  faultFor(error: unknown): unknown;
}

/** Whose bytes these are, and how long they may be waited for. */
export interface RoomOptions {
  readonly hold: Hold;
  readonly signal: AbortSignal;
}

/** The code of the fault of a call for which there was no room in its time. */
export const NO_ROOM = "held_bytes";

/**
 * Room in few steps: what is announced, or a little and then the most that may come. So the answers that hold something and
 * wait for more hold little, and those that go on can be completed: they do not wait for each other for ever.
 * @param steps in ascending order; the last one is the most that is ever taken
 */
export function createRoom({ hold, signal }: RoomOptions, steps: readonly [number, ...number[]]): Room {
  const { most } = hold;
  const first = Math.min(steps[0], most);
  let taken = 0;
  let isWaiting = false;

  async function grow(to: number): Promise<void> {
    isWaiting = true;
    // No other call of the caller's would make way for this one.
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
      if (isWaiting) return null; // it is paused already
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
