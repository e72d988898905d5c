// One serving thread (worker_threads), from the supervisor's side: created as a spare, started later, sampled until its end.
import { Worker } from "node:worker_threads";
import { createWatch, slotUnderWay } from "./heartbeat.ts";
import type { FromThread, Handover, ToThread } from "./messages.ts";

/** The end of a thread. */
export interface ThreadEnd {
  /** The exit code of its `ended` message; null without one. */
  readonly reported: number | null;
  readonly code: number;
  /** It had sent `ready` before. */
  readonly ready: boolean;
  /**
   * The slot of the evaluation for which the supervisor ended the thread, or in which it crashed (out of memory); null if
   * there is none.
   */
  readonly ranAway: number | null;
}

export interface ThreadOptions<T> {
  readonly script: URL;
  /** `workerData`; everything else comes with the message `start`. */
  readonly data: T;
  /** CPU time that one evaluation may use. */
  readonly limitMs: number;
  /** CPU time from which on an evaluation for this slot's Check is slow. */
  readonly slowMs: (slot: number) => number;
  readonly onMessage: (message: FromThread) => void;
  readonly onSlow: (slot: number) => void;
  readonly onError: (error: unknown) => void;
  /** Called at the end of a thread that was started. */
  readonly onEnd: (end: ThreadEnd) => void;
}

export interface SupervisedThread {
  /** False after its end. */
  alive(): boolean;
  start(handover: Handover): void;
  send(message: ToThread): void;
  /** Ends a thread that was never started. */
  discard(): void;
}

const SAMPLE_MS = 20;
/** Wall-clock limit as a multiple of the CPU limit: as if ten others wanted the same core. */
const TIMEOUT_FACTOR = 10;
/** V8's default: a smaller young generation promotes more garbage to the old one. */
const YOUNG_GENERATION_MB = 48;
/**
 * Far above what the service needs. Without a limit V8 derives one from the machine's memory, and lets garbage grow to 70 MiB
 * under load before a collection. A thread that reaches the limit ends, and is replaced.
 */
const OLD_GENERATION_MB = 512;

/** Creates a thread that loads its code, which takes most of the time of a start, and waits for `start`. */
export function makeThread<T>(options: ThreadOptions<T>): SupervisedThread {
  return new WatchedWorker(options);
}

class WatchedWorker<T> implements SupervisedThread {
  readonly #options: ThreadOptions<T>;
  readonly #worker: Worker;
  #timer: NodeJS.Timeout | undefined;
  #heartbeat: SharedArrayBuffer | null = null;
  #alive = true;
  #ready = false;
  #ranAway: number | null = null;
  #reported: number | null = null;

  constructor(options: ThreadOptions<T>) {
    this.#options = options;
    this.#worker = new Worker(options.script, {
      workerData: options.data,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB, maxOldGenerationSizeMb: OLD_GENERATION_MB },
    });
    this.#worker.on("message", (message: FromThread) => this.#note(message));
    this.#worker.on("error", options.onError);
    this.#worker.on("exit", (code) => this.#ended(code));
  }

  alive(): boolean {
    return this.#alive;
  }

  start(handover: Handover): void {
    this.#heartbeat = handover.heartbeat;
    this.#watch(handover.heartbeat);
    this.send({ type: "start", handover });
  }

  send(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  discard(): void {
    void this.#worker.terminate();
  }

  #note(message: FromThread): void {
    if (message.type === "ready") this.#ready = true;
    this.#options.onMessage(message);
    if (message.type !== "ended") return;
    this.#reported = message.code;
    // A start that failed may have left listeners open: they would answer, and hear of no change any more.
    void this.#worker.terminate();
  }

  #watch(heartbeat: SharedArrayBuffer): void {
    const { limitMs, slowMs, onSlow } = this.#options;
    const runaway = createWatch(heartbeat, {
      limitMs,
      slowMs,
      timeoutMs: limitMs * TIMEOUT_FACTOR,
      monotonic: () => performance.now(),
      cpu: async () => {
        const { user, system } = await this.#worker.cpuUsage();
        return (user + system) / 1000;
      },
      onSlow,
    });
    this.#timer = setInterval(() => {
      if (this.#ranAway !== null) return;
      this.#ranAway = runaway();
      if (this.#ranAway !== null) void this.#worker.terminate();
    }, SAMPLE_MS);
  }

  #ended(code: number): void {
    this.#alive = false;
    clearInterval(this.#timer);
    if (this.#heartbeat === null) return;
    const ranAway = this.#ranAway ?? (this.#reported === null ? slotUnderWay(this.#heartbeat) : null);
    this.#options.onEnd({ reported: this.#reported, code, ready: this.#ready, ranAway });
  }
}
