// One serving thread as the supervisor holds it: made ahead of time, started when its turn comes, watched until its end.
import { Worker } from "node:worker_threads";
import { createWatch, slotUnderWay } from "./heartbeat.ts";
import type { FromThread, Handover, ToThread } from "./messages.ts";

/** How a thread came to its end. */
export interface ThreadEnd {
  /** The exit code that it named itself, when it ended in order. */
  readonly said: number | null;
  readonly code: number;
  /** It had been ready before. */
  readonly ready: boolean;
  /**
   * The slot of the Check whose evaluation did not end, so that the thread was ended from here, or in whose evaluation it
   * crashed (out of memory); null when there is none such.
   */
  readonly ranAway: number | null;
}

export interface ThreadOptions<T> {
  readonly script: URL;
  /** What the thread can load its code by; everything else comes with its start. */
  readonly data: T;
  /** CPU time that one evaluation may use. */
  readonly limitMs: number;
  /** CPU time from which on an evaluation for this slot's Check is slow. */
  readonly slowMs: (slot: number) => number;
  readonly onMessage: (message: FromThread) => void;
  readonly onSlow: (slot: number) => void;
  readonly onError: (error: unknown) => void;
  /** Told of the end of a thread that was started. */
  readonly onEnd: (end: ThreadEnd) => void;
}

export interface SupervisedThread {
  /** True until its end. */
  alive(): boolean;
  start(handover: Handover): void;
  send(message: ToThread): void;
  /** Ends a thread that was never started. */
  discard(): void;
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
const OLD_GENERATION_MB = 512;

/** Makes a thread: it loads its code, which takes most of the time of a start, and waits. */
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
  #said: number | null = null;

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
    if (message.type === "ended") this.#said = message.code;
    this.#options.onMessage(message);
  }

  #watch(heartbeat: SharedArrayBuffer): void {
    const { limitMs, slowMs, onSlow } = this.#options;
    const runaway = createWatch(heartbeat, {
      limitMs,
      slowMs,
      patienceMs: limitMs * PATIENCE,
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
    const ranAway = this.#ranAway ?? (this.#said === null ? slotUnderWay(this.#heartbeat) : null);
    this.#options.onEnd({ said: this.#said, code, ready: this.#ready, ranAway });
  }
}
