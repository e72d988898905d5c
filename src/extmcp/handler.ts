// agentgateway's ExtMcp, one call from bytes to bytes: one deadline, one result, one audit record, one count, as for a Check. No I/O of
// its own: its ports do it.
import { createDecisions, type CallContext, type DecisionPorts, type Door } from "../authz/decision-call.ts";
import { recorded, type BeginSpan } from "../authz/decision-span.ts";
import { loggableId, type CheckFacts } from "../authz/facts.ts";
import type { RefusalResponseSettings } from "../authz/refusal-response.ts";
import { pass, refuse, type Refused, type Step } from "../authz/step.ts";
import { WireFault } from "../envoy/protobuf.ts";
import { traceId } from "../telemetry/traceparent.ts";
import { LAST_RESORT, requestResult, responseResult, type EncodedResult } from "./answer.ts";
import { decodeMcp, type McpMessage } from "./decode.ts";
import { judgeRequest, type Admission, type RequestPorts } from "./request-phase.ts";
import { judgeResponse, type Passed, type ResponsePorts } from "./response-phase.ts";

export interface ExtMcpPorts extends DecisionPorts, RequestPorts, ResponsePorts {
  readonly answers: RefusalResponseSettings;
  /** Absent where nothing is recorded. */
  readonly beginSpan?: BeginSpan | undefined;
}

type Handler = (bytes: Buffer, call: CallContext) => Promise<Buffer>;

/** A method of the service, and its result for whoever is not known. */
interface Method {
  readonly handler: Handler;
  readonly refusal: () => Buffer;
}

const EXT_MCP_SERVICE = "agentgateway.dev.ext_mcp.ExtMcp";

/** Makes the two methods of the service, by path. */
export function createExtMcp(ports: ExtMcpPorts): ReadonlyMap<string, Method> {
  const decisions = createDecisions(ports);
  const { answers } = ports;
  const methodOf = <T>(phase: Phase<T>): Method => ({
    handler: async (bytes, call) => (await decisions(doorOf(bytes, phase, ports.beginSpan), call)).bytes,
    refusal: () => LAST_RESORT.bytes,
  });
  const request = methodOf<Admission>({
    name: `${EXT_MCP_SERVICE}/CheckRequest`,
    judge: (message, proven) => judgeRequest(ports, message, proven),
    answer: (outcome, facts) => requestResult(answers, outcome, facts),
  });
  const response = methodOf<Passed>({
    name: `${EXT_MCP_SERVICE}/CheckResponse`,
    judge: (message, proven) => judgeResponse(ports, message, proven),
    answer: (outcome, facts) => responseResult(answers, outcome, facts),
  });
  return new Map([
    [`/${EXT_MCP_SERVICE}/CheckRequest`, request],
    [`/${EXT_MCP_SERVICE}/CheckResponse`, response],
  ]);
}

interface Phase<T> {
  /** Of its gRPC method. */
  readonly name: string;
  readonly judge: (message: McpMessage, proven: readonly [CheckFacts, AbortSignal]) => Promise<Step<T>>;
  readonly answer: (outcome: Step<T>, facts: CheckFacts) => EncodedResult;
}

function doorOf<T>(
  bytes: Buffer,
  { name, judge, answer }: Phase<T>,
  beginSpan: BeginSpan | undefined,
): Door<Step<T>, EncodedResult> {
  return {
    async decide(facts, signal) {
      const message = messageIn(bytes);
      if (!message.ok) return message;
      const { headers } = message.value;
      facts.door = "extmcp";
      facts.meshRequestId = loggableId(headers.get("x-request-id"));
      const traceparent = headers.get("traceparent");
      facts.traceId = traceId(traceparent);
      const work = () => judge(message.value, [facts, signal]);
      return beginSpan === undefined ? work() : recorded(beginSpan, facts, { method: name, traceparent, work });
    },
    answer: (outcome: Step<T> | Refused, facts) => answer(outcome, facts),
  };
}

/** What cannot be read is a refusal: a gRPC error would follow the gateway's failure mode. */
function messageIn(bytes: Buffer): Step<McpMessage> {
  if (bytes.length === 0) return refuse("body_too_large", "no message, or one above the limit of a message");
  try {
    const message = decodeMcp(bytes);
    return message.method === "" ? refuse("body_malformed", "no method") : pass(message);
  } catch (error) {
    if (error instanceof WireFault) return refuse("header_malformed", `ExtMcp: ${error.message}`);
    throw error;
  }
}
