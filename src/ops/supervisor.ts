import { newHeartbeat } from "./heartbeat.ts";
import type { Log } from "./log.ts";
import { startThread, type ThreadEnd } from "./supervised-thread.ts";

/** What a supervised thread says to its supervisor. */
export type FromThread =
  | { readonly type: "ready" }
  | { readonly type: "revision"; readonly revision: string }
  /** What must outlive this thread, which goes on writing to it. */
  | { readonly type: "remember"; readonly memory: SharedArrayBuffer }
  /** It has ended in order, with this exit code. */
  | { readonly type: "ended"; readonly code: number };

/** What it is told. */
export type ToThread = { readonly type: "terminate" } | { readonly type: "reload" };

/** What it starts with, beside its own data. */
export interface ThreadData<T> {
  readonly heartbeat: SharedArrayBuffer;
  /** A policy revision that ran away too often. */
  readonly quarantined: string | null;
  readonly restarts: number;
  /** What earlier threads asked to remember; null in the first one. */
  readonly remembered: SharedArrayBuffer | null;
  readonly data: T;
}

export interface SupervisorOptions<T> {
  readonly script: URL;
  readonly data: T;
  /** CPU time that one evaluation may use before it counts as running away. */
  readonly limitMs: number;
  readonly log: Log;
}

export interface Supervisor {
  send(message: ToThread): void;
  /** Resolves with the exit code. */
  readonly ended: Promise<number>;
}

const WINDOW_MS = 60_000;
/** So many runaways of one revision within the window, and it is not evaluated again. */
const QUARANTINE_AFTER = 3;
const MAX_CRASHES = 5;

/**
 * Runs a service in a thread and bounds the time of its policy: an evaluation that does not end can only be stopped
 * from outside, so the thread is ended and started anew (docs/decisions/001). The calls that it had are lost, and refused
 * by Envoy.
 */
export function supervise<T>(options: SupervisorOptions<T>): Supervisor {
  const { promise: ended, resolve: finish } = Promise.withResolvers<number>();
  const supervision = new Supervision(options, finish);
  supervision.start();
  return { ended, send: (message) => supervision.send(message) };
}

/** The threads of one service, one after the other, and what is remembered from one to the next. */
class Supervision<T> {
  readonly #options: SupervisorOptions<T>;
  readonly #finish: (code: number) => void;
  #say: (message: ToThread) => void = () => {};
  #revision: string | null = null;
  #quarantined: string | null = null;
  #restarts = 0;
  #crashes: number[] = [];
  #remembered: SharedArrayBuffer | null = null;
  #runaways: { readonly at: number; readonly revision: string | null }[] = [];
  #terminating = false;

  constructor(options: SupervisorOptions<T>, finish: (code: number) => void) {
    this.#options = options;
    this.#finish = finish;
  }

  send(message: ToThread): void {
    if (message.type === "terminate") this.#terminating = true;
    this.#say(message);
  }

  start(): void {
    const { script, data, limitMs, log } = this.#options;
    const restarts = this.#restarts;
    const remembered = this.#remembered;
    this.#say = startThread({
      script,
      workerData: { heartbeat: newHeartbeat(), quarantined: this.#quarantined, restarts, remembered, data },
      limitMs,
      onMessage: (message) => this.#note(message),
      onError: (error) => log.error("thread_failed", { error: error instanceof Error ? error.message : typeof error }),
      onEnd: (end) => this.#after(end),
    });
  }

  #note(message: FromThread): void {
    if (message.type === "revision") this.#revision = message.revision;
    if (message.type === "remember") this.#remembered = message.memory;
  }

  #after({ said, code, ready, ranAway }: ThreadEnd): void {
    if (said !== null) this.#finish(said);
    else if (this.#terminating) this.#finish(ranAway ? 1 : code);
    else if (ranAway) this.#afterRunaway();
    else if (ready && this.#mayRestart()) this.#restart("thread_restarted");
    else this.#finish(code === 0 ? 1 : code);
  }

  #restart(event: "policy_ran_away" | "thread_restarted"): void {
    this.#restarts += 1;
    const fields = { restarts: this.#restarts, revision: this.#revision, quarantined: this.#quarantined };
    this.#options.log.error(event, fields);
    this.start();
  }

  #afterRunaway(): void {
    const now = performance.now();
    const revision = this.#revision;
    this.#runaways = [...this.#runaways.filter(({ at }) => now - at < WINDOW_MS), { at: now, revision }];
    const times = this.#runaways.filter((one) => one.revision === revision).length;
    if (times >= QUARANTINE_AFTER) this.#quarantined = revision;
    this.#restart("policy_ran_away");
  }

  /** A thread that keeps crashing ends the process: whoever runs it can see that, and starts it with a delay of its own. */
  #mayRestart(): boolean {
    const now = performance.now();
    this.#crashes = [...this.#crashes.filter((at) => now - at < WINDOW_MS), now];
    return this.#crashes.length <= MAX_CRASHES;
  }
}
