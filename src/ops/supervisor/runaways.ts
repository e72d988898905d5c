// Counts runaway and slow evaluations of policy: first against the caller of the Check, and against the policy's revision only
// once it ran away for several callers. Pure but for its clock; it outlives the threads.
import { LRUCache } from "lru-cache";
import { backoffMs } from "../../async/backoff.ts";
import type { Caller } from "../../authz/in-flight.ts";
import { ANONYMOUS_ISSUER } from "../../authz/own-issuers.ts";
import { callerKey, type Suspension } from "./suspensions.ts";

/** Window within which runaways add up to a quarantine, and slow evaluations to a suspension. */
const WINDOW_MS = 60_000;
/** Different callers for whom one revision ran away within the window: then it is quarantined. */
export const QUARANTINE_CALLERS = 3;
/** Slow evaluations of one caller within the window: then the caller is suspended. */
const SLOW_STRIKES = 5;
/** Callers that are remembered, in each of the two tables. */
const MAX_CALLERS = 10_000;
/** Exponential backoff: each suspension is twice as long as the one before, up to this. */
const MAX_SUSPENSION_MS = 3600_000;

export interface RunawayOptions {
  /** Length of a caller's first suspension. */
  readonly suspendMs: number;
  readonly monotonic: () => number;
}

/** Rules of a policy that are quarantined apart: those of MCP, and those of the host's other paths, which anybody may ask. */
export type Rules = "mcp" | "host";

interface Offender {
  readonly caller: Caller;
  /** Suspensions so far. */
  readonly times: number;
  readonly until: number;
}

interface Runaway {
  readonly at: number;
  readonly revision: string | null;
  readonly rules: Rules;
  /** Key of the caller; null without one: then each counts against the revision. */
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

  /** Counts a runaway. @returns the suspension of its caller, and whether to quarantine these rules of the revision */
  add(
    caller: Caller | null,
    revision: string | null,
    rules: Rules = "mcp",
  ): { suspension: Suspension | null; quarantine: boolean } {
    const now = this.#monotonic();
    this.#total += 1;
    const by = caller === null ? null : callerKey(caller);
    if (by !== null) this.#slow.delete(by); // counted as slow before it ran away
    // Whoever has three addresses could stop policy for all callers, if each were a caller of its own.
    const whom = caller?.issuer === ANONYMOUS_ISSUER ? ANONYMOUS_ISSUER : by;
    this.#recent = [...this.#recent.filter(({ at }) => now - at < WINDOW_MS), { at: now, revision, rules, by: whom }];
    const same = this.#recent.filter((one) => one.revision === revision && one.rules === rules);
    const callers = new Set(same.flatMap((one) => one.by ?? [])).size;
    const own = same.filter((one) => one.by === null).length;
    return {
      suspension: caller === null ? null : this.#suspend(caller),
      quarantine: callers + own >= QUARANTINE_CALLERS,
    };
  }

  /** Counts a slow evaluation. @returns the caller's suspension at SLOW_STRIKES, else null */
  slow(caller: Caller): Suspension | null {
    const now = this.#monotonic();
    const key = callerKey(caller);
    const strikes = [...(this.#slow.get(key) ?? []).filter((at) => now - at < WINDOW_MS), now];
    this.#slow.set(key, strikes);
    if (strikes.length < SLOW_STRIKES) return null;
    this.#slow.delete(key);
    return this.#suspend(caller);
  }

  /** Forgets what counts against revisions: the policy has changed, or the operator sent SIGHUP. */
  release(): void {
    this.#recent = [];
  }

  /** Suspensions in force, oldest first. */
  suspended(): Suspension[] {
    const now = this.#monotonic();
    return [...this.#offenders.values()]
      .map(({ caller, until }) => ({ ...caller, forMs: until - now }))
      .filter(({ forMs }) => forMs > 0)
      .toReversed();
  }

  /** The backoff starts again after MAX_SUSPENSION_MS without a suspension. */
  #suspend(caller: Caller): Suspension {
    const now = this.#monotonic();
    const key = callerKey(caller);
    const before = this.#offenders.get(key);
    const times = before === undefined || now - before.until > MAX_SUSPENSION_MS ? 0 : before.times;
    const maxMs = Math.max(this.#suspendMs, MAX_SUSPENSION_MS);
    const forMs = backoffMs({ firstMs: this.#suspendMs, maxMs, jitter: 0 }, times + 1, 0);
    this.#offenders.set(key, { caller, times: times + 1, until: now + forMs });
    return { ...caller, forMs };
  }
}
