// Asks a policy of the form of opa-envoy-plugin about one request: only a whole, well-formed answer that allows allows. Pure but
// for the evaluator.
import type { CheckFacts } from "../../authz/facts.ts";
import type { HostDecision, HostQuestion } from "../../authz/host-decision.ts";
import { refuse, type Step } from "../../authz/step.ts";
import type { Evaluator } from "../evaluator.ts";
import { thrownText } from "../decision.ts";
import { readAnswer } from "./answer.ts";
import { hostInput } from "./input.ts";

export interface HostAsking {
  /** True if policy reads `truncated_body`; else such a body is refused. */
  readonly takesCut: boolean;
  /** Whom a runaway evaluation counts against; without it, the policy itself. */
  readonly check?: CheckFacts | undefined;
}

export function decideHost(
  evaluator: Evaluator,
  asked: HostQuestion,
  { takesCut, check }: HostAsking,
): Step<HostDecision> {
  const input = hostInput(asked, takesCut);
  if (!input.ok) return input;
  let result: unknown;
  try {
    result = evaluator.evaluateHost(input.value, check);
  } catch (error) {
    return refuse("policy_unavailable", thrownText(error));
  }
  return readAnswer(result, evaluator.revision);
}
