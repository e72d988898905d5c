// One Check from bytes to bytes, by the state machine of authz/decision-call.ts. No I/O of its own: its ports do it.
import type { RefusalResponseSettings } from "../authz/refusal-response.ts";
import type { Check } from "../authz/check.ts";
import { createDecisions, type CallContext, type DecisionPorts } from "../authz/decision-call.ts";
import type { Outcome } from "../authz/outcome.ts";
import { traceId } from "../telemetry/traceparent.ts";
import { recorded, type BeginSpan } from "../authz/decision-span.ts";
import { loggableId, type CheckFacts } from "../authz/facts.ts";
import type { CheckCodec } from "./check-codec.ts";
import { fromCheckRequest } from "./from-check-request.ts";
import { toCheckResponse } from "./to-check-response.ts";

/** The seam between transport and decision: a CheckRequest's bytes in, a CheckResponse's bytes out. */
export type CheckHandler = (bytes: Buffer, call: CallContext) => Promise<Buffer>;

export interface CheckHandlerPorts extends DecisionPorts {
  readonly check: Check;
  /** The protobuf codec of the wire stack. */
  readonly codec: CheckCodec;
  readonly answers: RefusalResponseSettings;
  /** Absent where nothing is recorded. */
  readonly beginSpan?: BeginSpan | undefined;
}

/** OpenTelemetry's form: the full name of the method. */
const CHECK_METHOD = "envoy.service.auth.v3.Authorization/Check";

/** Makes the handler that both wire stacks call. Whatever happens inside, a Check has one response. */
export function createCheckHandler(ports: CheckHandlerPorts): CheckHandler {
  const { check, codec, answers, beginSpan } = ports;
  const decisions = createDecisions(ports);
  const responses = { answers, encode: codec.encode };
  return (bytes, call) => {
    const decide = async (facts: CheckFacts, signal: AbortSignal): Promise<Outcome> => {
      const request = fromCheckRequest(bytes, codec.decode);
      if (!request.ok) return request;
      facts.meshRequestId = loggableId(request.value.headers.get("x-request-id"));
      const traceparent = request.value.headers.get("traceparent");
      facts.traceId = traceId(traceparent);
      if (beginSpan === undefined) return check(request.value, facts, signal);
      const work = () => check(request.value, facts, signal);
      return recorded(beginSpan, facts, { method: CHECK_METHOD, traceparent, work });
    };
    const answer = (outcome: Outcome, facts: CheckFacts) => toCheckResponse(responses, outcome, facts);
    return decisions({ decide, answer }, call).then((built) => built.bytes);
  };
}
