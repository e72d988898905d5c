// Tells which output schemas clients can compile. They come from servers that nobody vouches for, so it is done on a thread
// of its own that is ended when it takes too long or too much memory. I/O: the thread.
import { createHash } from "node:crypto";
import { Worker } from "node:worker_threads";
import { LRUCache } from "lru-cache";
import { moduleUrl } from "../../files/module-url.ts";

export interface OutputSchemas {
  /** For each schema, as JSON text, whether every official client compiles it. Never throws: what cannot be told is false. */
  compile(texts: readonly string[]): Promise<readonly boolean[]>;
  close(): Promise<void>;
}

export interface OutputSchemasOptions {
  /** For one schema, in milliseconds. Clients pay the same. */
  readonly limitMs?: number;
  /** For all schemas of one server, in milliseconds: the rest is not compiled, and asked for again the next time. */
  readonly totalMs?: number;
}

const LIMIT_MS = 2000;
const TOTAL_MS = 6000;
const START_MS = 10_000;
/** The thread ends when nobody asks for so long. */
const IDLE_MS = 5000;
/** Of verdicts: one that a slow moment gave is tried again. */
const MAX_KNOWN = 20_000;
const LATE_TTL_MS = 10 * 60_000;
const RESOURCES = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 32 };

export function createOutputSchemas({
  limitMs = LIMIT_MS,
  totalMs = TOTAL_MS,
}: OutputSchemasOptions = {}): OutputSchemas {
  const known = new LRUCache<string, boolean>({ max: MAX_KNOWN });
  const thread = new SchemaThread(limitMs);
  let last: Promise<unknown> = Promise.resolve();
  const judge = async (texts: readonly string[]) => {
    const end = performance.now() + totalMs;
    const verdicts: boolean[] = [];
    for (const text of texts) {
      const key = createHash("sha256").update(text).digest("base64");
      let verdict = known.get(key);
      if (verdict === undefined && performance.now() < end) {
        const answer = await thread.ask(text);
        verdict = answer === true;
        known.set(key, verdict, answer === null ? { ttl: LATE_TTL_MS } : {});
      }
      verdicts.push(verdict ?? false);
    }
    return verdicts;
  };
  return {
    compile(texts) {
      // Servers take turns: there is one thread.
      const verdicts = last.then(() => judge(texts));
      last = verdicts.catch(() => {});
      return verdicts;
    },
    async close() {
      await thread.end();
    },
  };
}

/** One worker at a time, started when it is asked. */
class SchemaThread {
  readonly #limitMs: number;
  #worker: Worker | null = null;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** Null if there was no answer in time, or no thread. */
  async ask(text: string): Promise<boolean | null> {
    clearTimeout(this.#idle);
    const worker = await this.#started();
    if (worker === null) return null;
    worker.ref();
    const answer = answerOf(worker, this.#limitMs);
    worker.postMessage(text);
    const verdict = await answer;
    if (typeof verdict !== "boolean") {
      await this.#stop();
      return null;
    }
    worker.unref();
    this.#idle = setTimeout(() => void this.#stop(), IDLE_MS).unref();
    return verdict;
  }

  async end(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    await this.#stop();
  }

  async #started(): Promise<Worker | null> {
    if (this.#worker !== null || this.#closed) return this.#worker;
    const worker = new Worker(moduleUrl(new URL("schema-thread.ts", import.meta.url)), {
      env: {},
      stderr: true,
      stdout: true,
      resourceLimits: RESOURCES,
    });
    // Without a listener an error of the thread would end the process.
    worker.on("error", () => {});
    this.#worker = worker;
    if ((await answerOf(worker, START_MS)) === "ready") return worker;
    await this.#stop();
    return null;
  }

  async #stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }
}

/** The next message, or null for a thread that ends or says nothing for so long. */
function answerOf(worker: Worker, limitMs: number): Promise<unknown> {
  return new Promise((resolve) => {
    const done = (answer: unknown) => {
      clearTimeout(timer);
      worker.off("message", done);
      worker.off("exit", none);
      resolve(answer);
    };
    const none = () => done(null);
    const timer = setTimeout(none, limitMs);
    worker.on("message", done);
    worker.on("exit", none);
  });
}
