import { Worker } from "node:worker_threads";
import { createWatch, newHeartbeat } from "./heartbeat.ts";
import type { Log } from "./log.ts";

/** What a supervised thread says to its supervisor. */
export type FromThread =
  | { readonly type: "ready" }
  | { readonly type: "revision"; readonly revision: string }
  /** What must outlive this thread; with `replace` it is all of that. */
  | { readonly type: "remember"; readonly lines: readonly string[]; readonly replace: boolean }
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
  readonly remembered: readonly string[] | null;
  readonly data: T;
}

export interface SupervisorOptions<T> {
  readonly script: URL;
  readonly data: T;
  /** CPU time that one evaluation may take before it counts as running away. */
  readonly limitMs: number;
  readonly log: Log;
}

export interface Supervisor {
  send(message: ToThread): void;
  /** Resolves with the exit code. */
  readonly ended: Promise<number>;
}

const SAMPLE_MS = 20;
const WINDOW_MS = 60_000;
/** So many runaways of one revision within the window, and it is not evaluated again. */
const QUARANTINE_AFTER = 3;
const MAX_CRASHES = 5;
/** Large enough that collections stay short under load, small enough for 250 MiB in all. */
const YOUNG_GENERATION_MB = 24;

/**
 * Runs a service in a thread and bounds the time of its policy: an evaluation that does not end can only be stopped
 * from outside, so the thread is ended and started anew (docs/decisions/001). The calls that it had are lost, and refused
 * by Envoy.
 */
export function supervise<T>({ script, data, limitMs, log }: SupervisorOptions<T>): Supervisor {
  const monotonic = () => performance.now();
  let worker: Worker | null = null;
  let revision: string | null = null;
  let quarantined: string | null = null;
  let restarts = 0;
  let crashes: number[] = [];
  let remembered: string[] = [];
  let runaways: { at: number; revision: string | null }[] = [];
  let terminating = false;
  let finish: (code: number) => void = () => {};
  const ended = new Promise<number>((done) => {
    finish = done;
  });

  function start(): void {
    const heartbeat = newHeartbeat();
    const memory = restarts === 0 ? null : remembered;
    const workerData: ThreadData<T> = { heartbeat, quarantined, restarts, remembered: memory, data };
    const current = new Worker(script, {
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const watch = createWatch(heartbeat, limitMs);
    let ready = false;
    let runaway = false;
    let exitCode: number | null = null;
    const timer = setInterval(() => {
      if (runaway || !watch.suspects()) return;
      void cpuMs(current).then((spent) => {
        if (runaway || spent === null || !watch.isRunningAway(spent)) return;
        runaway = true;
        void current.terminate();
      });
    }, SAMPLE_MS);
    current.on("message", (message: FromThread) => {
      if (message.type === "ready") ready = true;
      else if (message.type === "revision") ({ revision } = message);
      else if (message.type === "remember") remembered = (message.replace ? [] : remembered).concat(message.lines);
      else exitCode = message.code;
    });
    current.on("error", (error: unknown) =>
      log.error("thread_failed", { error: error instanceof Error ? error.message : typeof error }),
    );
    current.on("exit", (code) => {
      clearInterval(timer);
      if (exitCode !== null) finish(exitCode);
      else if (terminating) finish(runaway ? 1 : code);
      else if (runaway) afterRunaway();
      else if (ready && mayRestart()) restart("thread_restarted");
      else finish(code === 0 ? 1 : code);
    });
    worker = current;
  }

  function restart(event: string): void {
    restarts += 1;
    log.error(event, { restarts, revision, quarantined });
    start();
  }

  function afterRunaway(): void {
    const now = monotonic();
    runaways = [...runaways.filter(({ at }) => now - at < WINDOW_MS), { at: now, revision }];
    if (runaways.filter((one) => one.revision === revision).length >= QUARANTINE_AFTER) quarantined = revision;
    restart("policy_ran_away");
  }

  /** A thread that keeps crashing ends the process: whoever runs it can see that, and starts it with a delay of its own. */
  function mayRestart(): boolean {
    const now = monotonic();
    crashes = [...crashes.filter((at) => now - at < WINDOW_MS), now];
    return crashes.length <= MAX_CRASHES;
  }

  start();
  return {
    ended,
    send(message) {
      if (message.type === "terminate") terminating = true;
      worker?.postMessage(message);
    },
  };
}

/** What the thread has spent so far, null when it has ended. It answers in the middle of an evaluation too. */
function cpuMs(worker: Worker): Promise<number | null> {
  return worker.cpuUsage().then(
    ({ user, system }) => (user + system) / 1000,
    () => null,
  );
}
