// `mcp-authz/policy` (docs/api.md): evaluates a compiled policy (docs/policy.md). No I/O; the self-test runs on a thread.
import type { Step } from "../authz/step.ts";
import type { Decision, PolicyInput, Visible } from "../authz/types.ts";
import { readBundle } from "../policy/artifact.ts";
import { decide, visible } from "../policy/decision.ts";
import { createEvaluator, UNWATCHED, type Evaluator } from "../policy/evaluator.ts";
import { selfTest } from "../policy/self-test.ts";
import type { CatalogData } from "../policy/store.ts";

export type { Decision, PolicyCaller, PolicyInput, PolicyOperation, PolicyRequest, Visible } from "../authz/types.ts";
export type { CatalogData } from "../policy/store.ts";

/** The policy gave no whole answer. The message names a place in the policy or the kind of fault, never a value of the input. */
export class PolicyError extends Error {
  override readonly name = "PolicyError";
}

/** One compiled policy with its data. An evaluation runs on the calling thread and has no time limit: see docs/api.md. */
export interface PolicyEvaluator {
  /** SHA-256 of policy and data, in hex. */
  readonly revision: string;
  /** Decides whether the caller may use what `input.mcp` names. @throws {PolicyError} if the answer is not whole: no allow */
  decide(input: PolicyInput): Decision;
  /** The names of the catalogue that the caller may use, sorted, by kind and server. @throws {PolicyError} */
  visible(input: PolicyInput): Visible;
  /** The same policy with these names as `data.catalog`. */
  withCatalog(catalog: CatalogData): PolicyEvaluator;
}

/**
 * Reads a bundle of `mcp-authz build-policy` and tries it on a thread, for 10 s at most: a policy that runs away, or that
 * allows an empty request, does not load.
 * @param bytes the .tar.gz, at most 64 MiB unpacked
 * @throws {Error} that says what is wrong with the bundle or the policy
 */
export async function loadPolicyBundle(bytes: Uint8Array): Promise<PolicyEvaluator> {
  const artifact = readBundle(bytes);
  await selfTest(artifact);
  return evaluatorOf(createEvaluator(artifact, null, UNWATCHED));
}

function evaluatorOf(evaluator: Evaluator): PolicyEvaluator {
  return {
    revision: evaluator.revision,
    decide: (input) => valueOf(decide(evaluator, input)),
    visible: (input) => valueOf(visible(evaluator, input)),
    withCatalog: (catalog) => evaluatorOf(evaluator.withCatalog(catalog)),
  };
}

function valueOf<T>(step: Step<T>): T {
  if (!step.ok) throw new PolicyError(step.detail ?? step.reason);
  return step.value;
}
