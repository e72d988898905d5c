// Schedules Checks with large bodies, which take milliseconds to read: one per turn of the event loop. Pure.
import { createFairTurns } from "./fair-turns.ts";
import { refuse, type Refused } from "./step.ts";
import type { Identity, RequestBody } from "./types.ts";

/** Bodies up to this size, nearly all tool calls, are read at once. */
export const SMALL_BODY_BYTES = 32 * 1024;
/** Checks of all callers: 64 MiB with the default limit of a body. */
const MAX_WAITING = 256;

/** Decides a Check with a large body when the turn of its caller has come. */
export type LargeBodies = <T extends object>(
  caller: Pick<Identity, "issuer" | "subject">,
  decide: () => Promise<T>,
  signal: AbortSignal,
) => Promise<T | Refused>;

const TOO_MANY = refuse("rate_limited", "too many large bodies of this caller are under way");
const LATE = refuse("deadline", "before the large body's turn came");

/**
 * Callers take turns, however many large bodies each sends: a small Check waits for at most one large body, and a large one
 * for at most one of each other caller.
 * @param perCaller Checks with large bodies of one caller that are under way at a time, until they are decided
 */
export function createLargeBodies(perCaller: number): LargeBodies {
  const turns = createFairTurns({
    perTurn: 1,
    maxActive: Infinity,
    maxPerKey: perCaller,
    maxWaiting: MAX_WAITING,
  });
  return async ({ issuer, subject }, decide, signal) => {
    const outcome = await turns.run(JSON.stringify([issuer, subject]), decide, signal);
    if (typeof outcome === "object") return outcome;
    return outcome === "full" ? TOO_MANY : LATE;
  };
}

export function isLarge(body: RequestBody): boolean {
  return "bytes" in body && body.bytes.length > SMALL_BODY_BYTES;
}
