import { Worker } from "node:worker_threads";
import { refuse, type Step } from "../authz/step.ts";
import type { PolicyInput, Decision } from "../authz/types.ts";
import type { Artifact } from "./artifact.ts";

/** What the thread is given. */
export interface BoundedTask {
  readonly artifact: Artifact;
  /** As JSON text: the objects of our reader have no prototype, which a copy between threads would give them. */
  readonly input: string;
}

/** Asks policy once, on a thread of its own that is ended when it takes too long. For commands; serve pays no thread hop. */
export async function decideBounded(artifact: Artifact, input: PolicyInput, limitMs: number): Promise<Step<Decision>> {
  const workerData: BoundedTask = { artifact, input: JSON.stringify(input) };
  const worker = new Worker(new URL("bounded-worker.ts", import.meta.url), { workerData });
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Step<Decision>>((done) => {
      timer = setTimeout(() => done(refuse("policy_unavailable", `no answer within ${limitMs} ms`)), limitMs);
      worker.once("message", done);
      worker.once("error", () => done(refuse("policy_unavailable", "the evaluation failed")));
      worker.once("exit", () => done(refuse("policy_unavailable", "the evaluation ended without an answer")));
    });
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
