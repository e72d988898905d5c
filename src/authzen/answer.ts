// What leaves: the decision and its reason. No credential, no wristband, no detail. Pure.
import { decisionOf } from "../authz/audit-record.ts";
import type { Answer } from "../authz/decision-call.ts";
import type { CheckFacts } from "../authz/facts.ts";
import { Permit, permits } from "../authz/permit.ts";
import type { Decided } from "../authz/pipeline.ts";
import { REFUSALS } from "../authz/refusal.ts";
import type { Refused, Step } from "../authz/step.ts";

/** An access evaluation response. */
export interface EvaluationResponse {
  readonly decision: boolean;
  readonly context: object;
}

export interface EvaluationAnswer extends Answer {
  readonly body: EvaluationResponse;
}

/** Only what holds the pipeline's own permit becomes a yes. */
export function answerOf(outcome: Step<Decided>, facts: CheckFacts): EvaluationAnswer {
  if (!outcome.ok) return refusalOf(outcome, facts);
  const { permit } = outcome.value;
  if (!Permit.is(permit)) return refusalOf({ ok: false, reason: "internal" }, facts);
  const { visible, ...more } = shownOf(outcome.value);
  const context = { request_id: facts.requestId, ...more, ...(visible !== undefined && { visible }) };
  return { decision: "allow", reason: null, detail: null, isGrant: true, body: { decision: true, context } };
}

function shownOf({ permit, credential }: Decided): { readonly credential?: string; readonly visible?: object } {
  if (permits(permit, "list") || permits(permit, "watch")) return { visible: permit.what.names };
  return permits(permit, "call") ? { credential: credential?.kind ?? "not_tried" } : {};
}

function refusalOf(refused: Refused, facts: CheckFacts): EvaluationAnswer {
  const { reason, detail = null, scopes, stepUp, help, about, retryAfterSeconds } = refused;
  const { message, http } = REFUSALS[reason];
  const decision = decisionOf(reason);
  const context = {
    request_id: facts.requestId,
    reason,
    reason_user: { en: message },
    ...(scopes !== undefined && { scopes }),
    ...(stepUp !== undefined && {
      step_up: { acr_values: stepUp.acrValues, max_age: stepUp.maxAge, scopes: stepUp.scopes },
    }),
    ...(help !== undefined && { help }),
    ...(about !== undefined && { about }),
    ...(retryAfterSeconds !== undefined && { retry_after: retryAfterSeconds }),
    ...(decision === "fail" && { error: { status: http, message } }),
  };
  return { decision, reason, detail, body: { decision: false, context } };
}
