// The main thread of `serve`: runs the service in a thread, bounds the CPU time of its policy (docs/decisions/001), and keeps the
// state that outlives a thread. I/O by worker_threads and lost-lines.ts.
import type { Caller } from "../../authz/in-flight.ts";
import { NO_SLOT } from "../../authz/facts.ts";
import type { FromThread, Handover, Loss, ToThread } from "./messages.ts";
import { newHeartbeat } from "./heartbeat.ts";
import { callerAt, isNamedAt, newInFlight, ruleAt } from "./in-flight.ts";
import type { Log } from "../log.ts";
import { Runaways, type Rules } from "./runaways.ts";
import { makeThread, type SupervisedThread, type ThreadEnd } from "./thread.ts";
import type { Suspension } from "./suspensions.ts";

export interface SupervisorOptions<T> {
  readonly script: URL;
  readonly data: T;
  /** CPU time that one evaluation may use before it counts as running away. */
  readonly limitMs: number;
  /** Length of a caller's first suspension after a runaway. */
  readonly suspendMs: number;
  /** Writes the missing audit lines of an ended thread, before the next one starts. It never rejects. */
  readonly onLoss: (loss: Loss) => Promise<void>;
  readonly log: Log;
}

export interface Supervisor {
  send(message: ToThread): void;
  /** Resolves with the exit code. */
  readonly ended: Promise<number>;
}

const WINDOW_MS = 60_000;
const NONE_QUARANTINED = { mcp: null, host: null };
const MAX_CRASHES = 5;
/**
 * An evaluation that takes this share of the limit is slow; several suspend the caller. Of 500 ms: one decision takes
 * 11 ms of CPU at most, with 1 MiB of arguments; a list of 1,000 names 20 ms for a caller of 100 groups, 0.2 s for one of 2,000.
 */
const SLOW_SHARE = { named: 0.2, list: 0.5 };
/** Delay between `ready` and the creation of the spare thread, which would compete with waiting clients for the CPU. */
const SPARE_AFTER_MS = 500;

/**
 * An evaluation that does not end can only be stopped from outside: its thread is terminated, and a spare one, whose code is
 * loaded already, takes over. Envoy refuses the calls in flight; the supervisor writes their audit lines.
 */
export function supervise<T>(options: SupervisorOptions<T>): Supervisor {
  const { promise: ended, resolve: finish } = Promise.withResolvers<number>();
  const supervision = new Supervision(options, finish);
  supervision.start();
  return { ended, send: (message) => supervision.send(message) };
}

/** The threads of one service, one at a time, and the state between them. */
class Supervision<T> {
  readonly #options: SupervisorOptions<T>;
  readonly #finish: (code: number) => void;
  readonly #runaways: Runaways;
  readonly #documents = new Map<string, { readonly bytes: Uint8Array; readonly tag: string; readonly at: number }>();
  #current: SupervisedThread | null = null;
  #spare: SupervisedThread | null = null;
  #timer: NodeJS.Timeout | undefined;
  #inFlight = newInFlight();
  #revision: string | null = null;
  #policy: unknown = null;
  #quarantined: Readonly<Record<Rules, string | null>> = NONE_QUARANTINED;
  #restarts = 0;
  #crashes: number[] = [];
  #remembered: SharedArrayBuffer | null = null;
  #terminating = false;

  constructor(options: SupervisorOptions<T>, finish: (code: number) => void) {
    this.#options = options;
    this.#finish = finish;
    this.#runaways = new Runaways({ suspendMs: options.suspendMs, monotonic: () => performance.now() });
  }

  send(message: ToThread): void {
    if (message.type === "terminate") this.#terminating = true;
    if (message.type === "reload") this.#release();
    this.#current?.send(message);
  }

  start(): void {
    const spare = this.#spare?.alive() === true ? this.#spare : null;
    this.#spare = null;
    this.#current = spare ?? this.#make();
    this.#inFlight = newInFlight();
    this.#current.start(this.#handover());
    // `terminate` may have arrived between two threads.
    if (this.#terminating) this.#current.send({ type: "terminate" });
  }

  #make(): SupervisedThread {
    const { script, data, limitMs, log } = this.#options;
    return makeThread({
      ...{ script, data, limitMs },
      slowMs: (slot) => limitMs * (isNamedAt(this.#inFlight, slot) ? SLOW_SHARE.named : SLOW_SHARE.list),
      onMessage: (message) => this.#note(message),
      onSlow: (slot) => this.#slow(slot),
      onError: (error) => log.error("thread_failed", { error: error instanceof Error ? error.message : typeof error }),
      onEnd: (end) => void this.#after(end),
    });
  }

  #handover(): Handover {
    const now = performance.now();
    return {
      heartbeat: newHeartbeat(),
      inFlight: this.#inFlight,
      quarantined: this.#quarantined.mcp,
      hostQuarantined: this.#quarantined.host,
      suspended: this.#runaways.suspended(),
      restarts: this.#restarts,
      runaways: this.#runaways.total,
      remembered: this.#remembered,
      policy: this.#policy,
      documents: Object.fromEntries(
        [...this.#documents].map(([name, { bytes, tag, at }]) => [name, { bytes, tag, ageMs: now - at }]),
      ),
    };
  }

  #note(message: FromThread): void {
    if (message.type === "ready") {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => (this.#spare ??= this.#make()), SPARE_AFTER_MS);
      this.#timer.unref();
    }
    if (message.type === "policy") {
      this.#policy = message.policy;
      this.#revision = message.revision;
      this.#release();
    }
    if (message.type === "remember") this.#remembered = message.memory;
    if (message.type === "document") this.#keep(message);
  }

  #keep({ name, bytes, tag }: Extract<FromThread, { type: "document" }>): void {
    const kept = bytes === null ? this.#documents.get(name) : { bytes, tag };
    if (kept !== undefined) this.#documents.set(name, { ...kept, at: performance.now() });
  }

  /** After a changed policy or SIGHUP: a quarantined revision is evaluated again. */
  #release(): void {
    this.#quarantined = NONE_QUARANTINED;
    this.#runaways.release();
  }

  #slow(slot: number): void {
    const caller = callerAt(this.#inFlight, slot);
    const suspension = caller === null ? null : this.#runaways.slow(caller);
    if (suspension === null) return;
    this.#options.log.warn("caller_suspended", { ...secondsOf(suspension), message: "its evaluations are slow" });
    this.#current?.send({ type: "suspend", suspension });
  }

  async #after({ reported, code, ready, ranAway }: ThreadEnd): Promise<void> {
    this.#current = null;
    const revision = this.#revision;
    const cause = causeOf(reported, ranAway);
    const caller = ranAway === null ? null : callerAt(this.#inFlight, ranAway);
    await this.#options.onLoss({ inFlight: this.#inFlight, cause, slot: ranAway ?? NO_SLOT, revision });
    if (reported !== null) this.#end(reported);
    else if (this.#terminating) this.#end(ranAway === null ? code : 1);
    else if (ranAway !== null) this.#afterRunaway(caller, revision, ruleAt(this.#inFlight, ranAway));
    else if (ready && this.#mayRestart()) this.#restart("thread_restarted", {});
    else this.#end(code === 0 ? 1 : code);
  }

  #end(code: number): void {
    clearTimeout(this.#timer);
    this.#spare?.discard();
    this.#finish(code);
  }

  #restart(event: "policy_ran_away" | "thread_restarted", more: object): void {
    this.#restarts += 1;
    const { mcp: quarantined, host: hostQuarantined } = this.#quarantined;
    const fields = { restarts: this.#restarts, revision: this.#revision, quarantined, hostQuarantined, ...more };
    this.#options.log.error(event, fields);
    this.start();
  }

  #afterRunaway(caller: Caller | null, revision: string | null, rules: Rules): void {
    const { suspension, quarantine } = this.#runaways.add(caller, revision, rules);
    if (quarantine) this.#quarantined = { ...this.#quarantined, [rules]: revision };
    this.#restart("policy_ran_away", suspension === null ? {} : secondsOf(suspension));
  }

  /** False after MAX_CRASHES within WINDOW_MS: the process ends, and its service manager restarts it with a delay. */
  #mayRestart(): boolean {
    const now = performance.now();
    this.#crashes = [...this.#crashes.filter((at) => now - at < WINDOW_MS), now];
    return this.#crashes.length <= MAX_CRASHES;
  }
}

function causeOf(reported: number | null, ranAway: number | null): Loss["cause"] {
  if (ranAway !== null) return "ran_away";
  return reported === null ? "crashed" : "stopped";
}

function secondsOf({ issuer, subject, forMs }: Suspension) {
  return { issuer, subject, suspendedSeconds: Math.round(forMs / 1000) };
}
