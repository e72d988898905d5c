// Turns for Checks with large bodies, which take a while to read: one in each turn of the event loop. Pure.
import { createFairTurns } from "./fair-turns.ts";
import { refuse } from "./step.ts";
import type { Outcome } from "./outcome.ts";
import type { Identity, RequestBody } from "./types.ts";

/** Up to here a body costs a comparison and no turn of its own: nearly every call of a tool. */
export const SMALL_BODY_BYTES = 32 * 1024;
/** Of all callers: with the usual limit of a body this is 64 MiB. */
const MAX_WAITING = 256;

/** Decides a Check with a large body once its caller's turn has come. */
export type LargeBodies = (caller: Identity, decide: () => Promise<Outcome>, signal: AbortSignal) => Promise<Outcome>;

const TOO_MANY = refuse("rate_limited", "too many large bodies of this caller are under way");
const LATE = refuse("deadline", "before the large body's turn came");

/**
 * Callers get their turns one after the other, however many large bodies each sends: a small Check waits for one of them at
 * most, and a large one for one of each other caller.
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
  return (body.kind === "bytes" || body.kind === "text") && body.bytes.length > SMALL_BODY_BYTES;
}
