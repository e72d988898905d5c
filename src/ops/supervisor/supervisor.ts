// The main thread of `serve`: runs the service in one thread or in several workers, bounds the CPU time of their policy
// (docs/decisions/001, 030), and keeps the state that outlives a thread. I/O by worker_threads and lost-lines.ts.
import type { Caller } from "../../authz/in-flight.ts";
import { NO_SLOT } from "../../authz/facts.ts";
import type { TlsMaterial } from "../../http/server.ts";
import type { FromThread, Handover, Loss, OpsAnswer, OpsQuestion, Ports, SharedMemory, ToThread } from "./messages.ts";
import { createBallots } from "./ballot.ts";
import { newHeartbeat } from "./heartbeat.ts";
import { callerAt, isNamedAt, newInFlight, ruleAt } from "./in-flight.ts";
import type { Log } from "../log.ts";
import type { ReloadCause } from "../reload.ts";
import { createQuestions } from "./questions.ts";
import { Runaways, type Rules } from "./runaways.ts";
import type { Place, Placed } from "./place.ts";
import { makeThread, type ThreadEnd } from "./thread.ts";
import type { Suspension } from "./suspensions.ts";

export interface SupervisorOptions<T> {
  readonly script: URL;
  readonly data: T;
  /** Serving threads at a time, and the memory that they share; null for one alone. */
  readonly workers?: Workers | null;
  /** CPU time that one evaluation may use before it counts as running away. */
  readonly limitMs: number;
  /** Length of a caller's first suspension after a runaway. */
  readonly suspendMs: number;
  /** Writes the missing audit lines of an ended thread, before the next one starts. It never rejects. */
  readonly onLoss: (loss: Loss) => Promise<void>;
  readonly log: Log;
}

export interface Workers {
  readonly count: number;
  readonly shared: SharedMemory;
  /** A thread has ended: what it held of the shared memory is free. */
  readonly onEnd: (index: number) => void;
  /** New files of the operator listener, which the main thread has. */
  readonly onTls: (material: TlsMaterial) => void;
  /** All serve, for the first time. */
  readonly onReady: (ports: Ports | null) => void;
}

export interface Supervisor {
  /** SIGTERM: all drain. */
  terminate(): void;
  /** SIGHUP: all read again. */
  reload(): void;
  /** Asks one worker on behalf of the operator listener; null if it does not answer. */
  ask(worker: number, question: OpsQuestion): Promise<OpsAnswer | null>;
  /** True while as many serve as there should be. */
  isComplete(): boolean;
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
/** Pause before another try of a worker that could not start: fewer of them in a minute than end the process. */
const TRY_AGAIN_MS = 15_000;
/** Delay between `ready` and the creation of the spare thread, which would compete with waiting clients for the CPU. */
const SPARE_AFTER_MS = 500;

/**
 * An evaluation that does not end can only be stopped from outside: its thread is terminated, and a spare one, whose code is
 * loaded already, takes over. Envoy refuses the calls in flight; the supervisor writes their audit lines.
 */
export function supervise<T>(options: SupervisorOptions<T>): Supervisor {
  const { promise: ended, resolve: finish } = Promise.withResolvers<number>();
  const supervision = new Supervision(options, finish);
  supervision.begin();
  return {
    ended,
    terminate: () => supervision.terminate(),
    reload: () => supervision.reload("signal"),
    ask: (worker, question) => supervision.ask(worker, question),
    isComplete: () => supervision.isComplete(),
  };
}

/** The threads of one service, and the state between them. */
class Supervision<T> {
  readonly #options: SupervisorOptions<T>;
  readonly #finish: (code: number) => void;
  readonly #runaways: Runaways;
  readonly #documents = new Map<string, { readonly bytes: Uint8Array; readonly tag: string; readonly at: number }>();
  readonly #places: readonly Place[];
  readonly #ballots = createBallots((members, verdict) => {
    for (const index of members) this.#places[index]?.current?.send({ type: "verdict", ...verdict });
  });
  readonly #questions = createQuestions((worker, id, question) => {
    const place = this.#places[worker];
    if (place?.isReady !== true || place.current === null) return false;
    place.current.send({ type: "ask", id, ...question });
    return true;
  });
  #spare: Placed | null = null;
  #timer: NodeJS.Timeout | undefined;
  #revision: string | null = null;
  #policy: unknown = null;
  #quarantined: Readonly<Record<Rules, string | null>> = NONE_QUARANTINED;
  #restarts = 0;
  #crashes: number[] = [];
  #ports: Ports | null = null;
  #isOpen = false;
  #terminating = false;
  #code = 0;

  constructor(options: SupervisorOptions<T>, finish: (code: number) => void) {
    this.#options = options;
    this.#finish = finish;
    this.#runaways = new Runaways({ suspendMs: options.suspendMs, monotonic: () => performance.now() });
    this.#places = Array.from({ length: options.workers?.count ?? 1 }, (_, index) => ({
      ...{
        index,
        current: null,
        inFlight: newInFlight(),
        remembered: null,
        isReady: false,
        waiting: null,
        state: "new" as const,
      },
    }));
  }

  /** The first worker alone: it loads the policy and fetches the keys that the others are given. */
  begin(): void {
    const [first] = this.#places;
    if (first !== undefined) this.#start(first);
  }

  terminate(): void {
    this.#terminating = true;
    this.#tellAll({ type: "terminate" });
    for (const { waiting } of this.#places) waiting?.();
  }

  reload(cause: ReloadCause): void {
    if (cause === "signal") this.#release();
    const reached = this.#places.filter(({ current }) => current !== null);
    const round = this.#ballots.begin(reached.map(({ index }) => index));
    this.#tellAll({ type: "reload", cause, round });
  }

  ask(worker: number, question: OpsQuestion): Promise<OpsAnswer | null> {
    return this.#questions.ask(worker, question);
  }

  isComplete(): boolean {
    return this.#places.every(({ isReady }) => isReady);
  }

  #tellAll(message: ToThread, except: Place | null = null): void {
    for (const place of this.#places) if (place !== except) place.current?.send(message);
  }

  #start(place: Place): void {
    const spare = this.#spare?.thread.alive() === true ? this.#spare : null;
    this.#spare = null;
    const placed = spare ?? this.#make();
    placed.place = place;
    place.current = placed.thread;
    place.state = "begun";
    place.waiting = null;
    place.inFlight = newInFlight();
    place.current.start(this.#handover(place));
    // `terminate` may have arrived between two threads.
    if (this.#terminating) place.current.send({ type: "terminate" });
  }

  #make(): Placed {
    const { script, data, limitMs, log } = this.#options;
    const slowMs = (inFlight: SharedArrayBuffer, slot: number) =>
      limitMs * (isNamedAt(inFlight, slot) ? SLOW_SHARE.named : SLOW_SHARE.list);
    /** A thread says nothing before it was started. */
    const inPlace = <R>(act: (place: Place) => R): R | undefined =>
      placed.place === null ? undefined : act(placed.place);
    const thread = makeThread({
      ...{ script, data, limitMs },
      slowMs: (slot) => inPlace(({ inFlight }) => slowMs(inFlight, slot)) ?? limitMs,
      onMessage: (message) => inPlace((place) => this.#note(place, message)),
      onSlow: (slot) => inPlace((place) => this.#slow(place, slot)),
      onError: (error) => log.error("thread_failed", { error: error instanceof Error ? error.message : typeof error }),
      onEnd: (end) => void inPlace((place) => this.#after(place, end)),
    });
    const placed: Placed = { thread, place: null };
    return placed;
  }

  #handover({ index, inFlight, remembered }: Place): Handover {
    const now = performance.now();
    const { workers = null } = this.#options;
    return {
      heartbeat: newHeartbeat(),
      inFlight,
      quarantined: this.#quarantined.mcp,
      hostQuarantined: this.#quarantined.host,
      suspended: this.#runaways.suspended(),
      restarts: this.#restarts,
      runaways: this.#runaways.total,
      remembered,
      worker: workers === null ? null : { index, of: workers.count, ports: this.#ports, shared: workers.shared },
      policy: this.#policy,
      documents: Object.fromEntries(
        [...this.#documents].map(([name, { bytes, tag, at }]) => [name, { bytes, tag, ageMs: now - at }]),
      ),
    };
  }

  #note(place: Place, message: FromThread): void {
    if (message.type === "ready") this.#opened(place, message.ports ?? null);
    if (message.type === "remember") place.remembered = message.memory;
    if (message.type === "document") this.#keep(message);
    this.#noteFiles(place, message);
    if (message.type === "tls") this.#options.workers?.onTls(message.material);
    if (message.type === "vote") this.#ballots.vote(place.index, message);
    if (message.type === "answer") this.#questions.answered(message.id, message.answer);
  }

  #noteFiles(place: Place, message: FromThread): void {
    if (message.type === "taken") this.#spare?.thread.send({ type: "reread" });
    if (message.type === "changed") this.reload("files");
    if (message.type !== "policy" || place.index !== 0) return;
    this.#policy = message.policy;
    this.#revision = message.revision;
    this.#release();
    this.#tellAll({ type: "policy", policy: message.policy }, place);
  }

  #opened(place: Place, ports: Ports | null): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.#spare ??= this.#make()), SPARE_AFTER_MS);
    this.#timer.unref();
    place.isReady = true;
    this.#ports ??= ports;
    if (!this.#terminating) for (const other of this.#places) if (other.state === "new") this.#start(other);
    if (!this.isComplete()) return;
    if (!this.#isOpen) this.#options.workers?.onReady(this.#ports);
    // A thread in the place of another has read what is there now: the others do so too.
    else if (this.#places.length > 1) this.reload("files");
    this.#isOpen = true;
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

  #slow({ inFlight }: Place, slot: number): void {
    const caller = callerAt(inFlight, slot);
    const suspension = caller === null ? null : this.#runaways.slow(caller);
    if (suspension === null) return;
    this.#options.log.warn("caller_suspended", { ...secondsOf(suspension), message: "its evaluations are slow" });
    this.#tellAll({ type: "suspend", suspension });
  }

  #left(place: Place): void {
    place.current = null;
    place.isReady = false;
    this.#options.workers?.onEnd(place.index);
    this.#ballots.left(place.index);
    this.#questions.left(place.index);
  }

  async #after(place: Place, { reported, code, ready, ranAway }: ThreadEnd): Promise<void> {
    const { inFlight } = place;
    this.#left(place);
    const revision = this.#revision;
    const cause = causeOf(reported, ranAway);
    const caller = ranAway === null ? null : callerAt(inFlight, ranAway);
    await this.#options.onLoss({ inFlight, cause, slot: ranAway ?? NO_SLOT, revision });
    if (reported !== null) this.#afterEnd(place, reported);
    else if (this.#terminating) this.#end(place, ranAway === null ? code : 1);
    else if (ranAway !== null) this.#afterRunaway(place, { caller, revision, rules: ruleAt(inFlight, ranAway) });
    else if (ready && this.#mayRestart()) this.#restart("thread_restarted", place, {});
    else if (ready) this.#end(place, code === 0 ? 1 : code);
    else this.#afterEnd(place, code === 0 ? 1 : code);
  }

  #afterEnd(place: Place, code: number): void {
    if (this.#mayTryAgain()) this.#tryAgain(place);
    else this.#end(place, code);
  }

  /** While others serve, one that cannot start, or that gives up, does not end them. */
  #mayTryAgain(): boolean {
    return !this.#terminating && this.#isOpen && this.#places.some(({ isReady }) => isReady) && this.#mayRestart();
  }

  #tryAgain(place: Place): void {
    const timer = setTimeout(() => {
      if (this.#terminating) this.#end(place, 0);
      else this.#restart("thread_restarted", place, {});
    }, TRY_AGAIN_MS);
    place.waiting = () => {
      place.waiting = null;
      clearTimeout(timer);
      this.#end(place, 0);
    };
  }

  /** A worker ends for good: so do all, in order. */
  #end(place: Place, code: number): void {
    clearTimeout(this.#timer);
    this.#code ||= code;
    place.state = "over";
    if (!this.#terminating) this.terminate();
    if (this.#places.some(({ state }) => state === "begun")) return;
    this.#spare?.thread.discard();
    this.#finish(this.#code);
  }

  #restart(event: "policy_ran_away" | "thread_restarted", place: Place, more: object): void {
    this.#restarts += 1;
    const { mcp: quarantined, host: hostQuarantined } = this.#quarantined;
    const worker = this.#places.length > 1 ? { worker: place.index } : {};
    const fields = { restarts: this.#restarts, revision: this.#revision, quarantined, hostQuarantined, ...more };
    this.#options.log.error(event, { ...fields, ...worker });
    this.#start(place);
  }

  #afterRunaway(
    place: Place,
    { caller, revision, rules }: { caller: Caller | null; revision: string | null; rules: Rules },
  ): void {
    const { suspension, quarantine } = this.#runaways.add(caller, revision, rules);
    if (quarantine) {
      this.#quarantined = { ...this.#quarantined, [rules]: revision };
      this.#tellAll({ type: "quarantine", revision, rules });
    }
    if (suspension !== null) this.#tellAll({ type: "suspend", suspension });
    this.#restart("policy_ran_away", place, suspension === null ? {} : secondsOf(suspension));
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
