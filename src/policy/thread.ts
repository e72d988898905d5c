// Runs one task on a thread of its own, which is ended when it takes too long: the serving thread never waits for it.
import { Worker } from "node:worker_threads";
import { moduleUrl } from "../files/module-url.ts";

export type ThreadResult<T> =
  | { readonly kind: "answer"; readonly value: T }
  | { readonly kind: "late" }
  | { readonly kind: "failed"; readonly error: unknown };

/** @param module `new URL("name.ts", import.meta.url)`: it answers with one message, or throws. @param task is copied to the thread */
export async function onThread<T>(module: URL, task: unknown, limitMs: number): Promise<ThreadResult<T>> {
  const worker = new Worker(moduleUrl(module), { workerData: task });
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
