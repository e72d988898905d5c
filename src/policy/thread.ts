// Runs one task on a thread of its own, which is ended when it takes too long: the serving thread never waits for it.
import { Worker } from "node:worker_threads";
import { moduleUrl } from "../files/module-url.ts";

export type ThreadResult<T> =
  | { readonly kind: "answer"; readonly value: T }
  | { readonly kind: "late" }
  | { readonly kind: "failed"; readonly error: unknown };

interface Limits {
  readonly ms: number;
  /** Of its JavaScript heap: beyond it the thread ends as `failed`, and the process goes on. */
  readonly heapMiB: number;
}

/** @param module `new URL("name.ts", import.meta.url)`: it answers with one message, or throws. @param task is copied to the thread */
export async function onThread<T>(module: URL, task: unknown, limits: number | Limits): Promise<ThreadResult<T>> {
  const limitMs = typeof limits === "number" ? limits : limits.ms;
  const resourceLimits = typeof limits === "number" ? {} : { maxOldGenerationSizeMb: limits.heapMiB };
  const worker = new Worker(moduleUrl(module), { workerData: task, resourceLimits });
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<ThreadResult<T>>((done) => {
      timer = setTimeout(() => done({ kind: "late" }), limitMs);
      worker.once("message", (value: T) => done({ kind: "answer", value }));
      worker.once("error", (error) => done({ kind: "failed", error }));
      worker.once("exit", () => done({ kind: "failed", error: new Error("no answer") }));
    });
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
