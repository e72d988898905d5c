// Whom a runaway evaluation of policy counts against: first the caller whose Check it was for, and the policy's revision
// only once several callers made it run away. Pure; the supervisor keeps it across the threads.
import { LRUCache } from "lru-cache";
import type { Caller } from "../../authz/in-flight.ts";
import { callerKey, type Suspension } from "./suspensions.ts";

/** In which several things make one: runaways a quarantine, slow evaluations a suspension. */
const WINDOW_MS = 60_000;
/** So many different callers make one revision run away within the window, and it is quarantined. */
const QUARANTINE_CALLERS = 3;
/** So many slow evaluations of one caller within the window count as a runaway. */
const SLOW_STRIKES = 5;
/** Callers of whom something is remembered. */
const MAX_CALLERS = 10_000;
/** Each suspension is twice as long as the one before, up to this. */
const MAX_SUSPENSION_MS = 3600_000;

export interface RunawayOptions {
  /** How long a caller is suspended at first. */
  readonly suspendMs: number;
  readonly monotonic: () => number;
}

interface Offender {
  readonly caller: Caller;
  /** Suspensions so far. */
  readonly times: number;
  readonly until: number;
}

interface Runaway {
  readonly at: number;
  readonly revision: string | null;
  /** Null when it was for no caller: then it is the revision's own fault each time. */
  readonly by: string | null;
}

export class Runaways {
  readonly #suspendMs: number;
  readonly #monotonic: () => number;
  readonly #offenders = new LRUCache<string, Offender>({ max: MAX_CALLERS });
  readonly #slow = new LRUCache<string, readonly number[]>({ max: MAX_CALLERS });
  #recent: Runaway[] = [];
  #total = 0;

  constructor({ suspendMs, monotonic }: RunawayOptions) {
    this.#suspendMs = suspendMs;
    this.#monotonic = monotonic;
  }

  /** Runaways since the start. */
  get total(): number {
    return this.#total;
  }

  /** Notes one. @returns the suspension of its caller, and whether the revision is to be quarantined */
  add(caller: Caller | null, revision: string | null): { suspension: Suspension | null; quarantine: boolean } {
    const now = this.#monotonic();
    this.#total += 1;
    const by = caller === null ? null : callerKey(caller);
    if (by !== null) this.#slow.delete(by); // it was slow before it was too slow
    this.#recent = [...this.#recent.filter(({ at }) => now - at < WINDOW_MS), { at: now, revision, by }];
    const same = this.#recent.filter((one) => one.revision === revision);
    const callers = new Set(same.flatMap((one) => one.by ?? [])).size;
    const own = same.filter((one) => one.by === null).length;
    return {
      suspension: caller === null ? null : this.#suspend(caller),
      quarantine: callers + own >= QUARANTINE_CALLERS,
    };
  }

  /** Notes a slow evaluation. @returns the caller's suspension once there were too many */
  slow(caller: Caller): Suspension | null {
    const now = this.#monotonic();
    const key = callerKey(caller);
    const strikes = [...(this.#slow.get(key) ?? []).filter((at) => now - at < WINDOW_MS), now];
    this.#slow.set(key, strikes);
    if (strikes.length < SLOW_STRIKES) return null;
    this.#slow.delete(key);
    return this.#suspend(caller);
  }

  /** Forgets what counts against revisions: the policy has changed, or an operator wants it tried again. */
  release(): void {
    this.#recent = [];
  }

  /** Who is suspended now, the first one first. */
  suspended(): Suspension[] {
    const now = this.#monotonic();
    return [...this.#offenders.values()]
      .map(({ caller, until }) => ({ ...caller, forMs: until - now }))
      .filter(({ forMs }) => forMs > 0)
      .toReversed();
  }

  /** A caller who was good for as long as the longest suspension begins anew. */
  #suspend(caller: Caller): Suspension {
    const now = this.#monotonic();
    const key = callerKey(caller);
    const before = this.#offenders.get(key);
    const times = before === undefined || now - before.until > MAX_SUSPENSION_MS ? 0 : before.times;
    const forMs = Math.min(this.#suspendMs * 2 ** Math.min(times, 20), Math.max(this.#suspendMs, MAX_SUSPENSION_MS));
    this.#offenders.set(key, { caller, times: times + 1, until: now + forMs });
    return { ...caller, forMs };
  }
}
