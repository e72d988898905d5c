// Asks policy once, on a thread of its own. For commands; serve pays no thread hop.
import { refuse, type Step } from "../authz/step.ts";
import type { PolicyInput, Decision } from "../authz/types.ts";
import type { Artifact } from "./artifact.ts";
import { onThread } from "./thread.ts";

/** The task that the thread receives. */
export interface BoundedTask {
  readonly artifact: Artifact;
  /** As JSON text: the objects of our reader have no prototype, which a copy between threads would give them. */
  readonly input: string;
}

export async function decideBounded(artifact: Artifact, input: PolicyInput, limitMs: number): Promise<Step<Decision>> {
  const task: BoundedTask = { artifact, input: JSON.stringify(input) };
  const result = await onThread<Step<Decision>>(new URL("bounded-worker.ts", import.meta.url), task, limitMs);
  if (result.kind === "answer") return result.value;
  return refuse(
    "policy_unavailable",
    result.kind === "late" ? `no answer within ${limitMs} ms` : "the evaluation failed",
  );
}
