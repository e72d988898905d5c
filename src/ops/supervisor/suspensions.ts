// Callers that are refused for a time, because policy ran away while it was evaluated for them. In memory, bounded. No I/O.
import { LRUCache } from "lru-cache";
import type { Caller } from "../../authz/in-flight.ts";
import { countedCaller } from "../../authz/source.ts";
import { refuse, type Refused, type Step } from "../../authz/step.ts";
import type { Identity } from "../../authz/types.ts";

/** Suspensions at most; beyond, the oldest one ends early. */
export const MAX_SUSPENDED = 10_000;

/** A suspension as a message between threads: a duration, since the threads' monotonic clocks differ. */
export interface Suspension extends Caller {
  /** Milliseconds until it ends. */
  readonly forMs: number;
}

export interface Suspensions {
  suspend(suspension: Suspension): void;
  /**
   * The refusal of a suspended caller; null for all others.
   * @param source the address of one who presents nothing
   */
  refusal(identity: Identity, source?: string | null): Refused | null;
  /** The same for a source of requests without a credential. */
  refusalOf(source: Caller): Refused | null;
  readonly size: number;
}

/** An injective key of issuer and subject. */
export function callerKey({ issuer, subject }: Caller): string {
  return `${issuer.length}:${issuer}${subject}`;
}

/** @param monotonic milliseconds of a clock that never jumps */
export function createSuspensions(monotonic: () => number, max: number = MAX_SUSPENDED): Suspensions {
  const until = new LRUCache<string, number>({ max });
  const refusalOf = (caller: Caller): Refused | null => {
    if (until.size === 0) return null; // the usual case costs no key
    const key = callerKey(caller);
    const end = until.peek(key);
    if (end === undefined) return null;
    const leftMs = end - monotonic();
    if (leftMs > 0) return suspended(leftMs);
    until.delete(key);
    return null;
  };
  return {
    suspend(suspension) {
      until.set(callerKey(suspension), monotonic() + suspension.forMs);
    },
    refusal(identity, source = null) {
      const refused = refusalOf(countedCaller(identity, source));
      return refused && { ...refused, caller: identity };
    },
    refusalOf,
    get size() {
      for (const [key, end] of until) if (end <= monotonic()) until.delete(key);
      return until.size;
    },
  };
}

function suspended(leftMs: number): Refused {
  const retryAfterSeconds = Math.ceil(leftMs / 1000);
  return { ...refuse("caller_suspended", "an earlier evaluation of policy ran away"), retryAfterSeconds };
}

type Identified = Step<Identity> | Promise<Step<Identity>>;

/** Wraps `identify`: suspended callers are refused before the body is read and policy is asked. */
export function refuseSuspended<A extends readonly unknown[]>(
  identify: (...args: A) => Identified,
  { refusal }: Pick<Suspensions, "refusal">,
): (...args: A) => Identified {
  const judge = (identified: Step<Identity>): Step<Identity> =>
    identified.ok ? (refusal(identified.value) ?? identified) : identified;
  return (...args) => {
    const identified = identify(...args);
    return identified instanceof Promise ? identified.then(judge) : judge(identified);
  };
}
