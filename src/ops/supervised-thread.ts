import { Worker } from "node:worker_threads";
import { createWatch } from "./heartbeat.ts";
import type { FromThread, ThreadData, ToThread } from "./supervisor.ts";

/** How a thread came to its end. */
export interface ThreadEnd {
  /** The exit code that it named itself, when it ended in order. */
  readonly said: number | null;
  readonly code: number;
  /** It had been ready before. */
  readonly ready: boolean;
  /** It was ended from here, because an evaluation did not end. */
  readonly ranAway: boolean;
}

export interface ThreadOptions<T> {
  readonly script: URL;
  readonly workerData: ThreadData<T>;
  /** CPU time that one evaluation may use. */
  readonly limitMs: number;
  readonly onMessage: (message: FromThread) => void;
  readonly onError: (error: unknown) => void;
  readonly onEnd: (end: ThreadEnd) => void;
}

const SAMPLE_MS = 20;
/** What goes by at most: as if ten others wanted the same core. */
const PATIENCE = 10;
/** V8's own default: a smaller one collects more often, and moves more of what will be garbage to the old generation. */
const YOUNG_GENERATION_MB = 48;
/**
 * Far above what the service needs. Without a limit of its own V8 takes the machine's memory for its measure, and lets
 * garbage grow to 70 MiB under load before it looks; a thread that does reach it is started anew.
 */
const OLD_GENERATION_MB = 1024;

/** Runs one thread and watches its evaluations. @returns how to talk to it */
export function startThread<T>(options: ThreadOptions<T>): (message: ToThread) => void {
  const { script, workerData, limitMs, onMessage, onError, onEnd } = options;
  const worker = new Worker(script, {
    workerData,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB, maxOldGenerationSizeMb: OLD_GENERATION_MB },
  });
  const isRunningAway = createWatch(workerData.heartbeat, {
    limitMs,
    patienceMs: limitMs * PATIENCE,
    monotonic: () => performance.now(),
    cpu: async () => {
      const { user, system } = await worker.cpuUsage();
      return (user + system) / 1000;
    },
  });
  let ready = false;
  let ranAway = false;
  let said: number | null = null;
  const timer = setInterval(() => {
    if (ranAway || !isRunningAway()) return;
    ranAway = true;
    void worker.terminate();
  }, SAMPLE_MS);
  worker.on("message", (message: FromThread) => {
    if (message.type === "ready") ready = true;
    if (message.type === "ended") said = message.code;
    onMessage(message);
  });
  worker.on("error", onError);
  worker.on("exit", (code) => {
    clearInterval(timer);
    onEnd({ said, code, ready, ranAway });
  });
  return (message) => worker.postMessage(message);
}
