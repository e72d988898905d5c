// Evaluates what was asked, one by one and in order, each as a decision of its own. Pure but for the pipeline.
import { setImmediate as nextTurn } from "node:timers/promises";
import type { CallContext, Decisions } from "../authz/decision-call.ts";
import { resourcesOf } from "../authz/endpoint.ts";
import type { CheckFacts } from "../authz/facts.ts";
import type { Decided, Pipeline } from "../authz/pipeline.ts";
import { pass, refuseBody, type Step } from "../authz/step.ts";
import type { Identity } from "../authz/types.ts";
import type { Operation } from "../mcp/operation.ts";
import { readOperation } from "../mcp/read-operation.ts";
import { answerOf, type EvaluationResponse } from "./answer.ts";
import { questionOf, type SubjectAsked } from "./question.ts";
import type { Evaluation, EvaluationsAsked, Semantic } from "./read-request.ts";

/** What the configuration says of callers of whom a party speaks. */
export interface AboutOthers {
  /** The caller of whom the party speaks. @param resources names of the endpoint, as a token's audience */
  readonly vouched: (subject: SubjectAsked, resources: readonly string[]) => Step<Identity>;
  /** False for a server whose credential could be had with the caller's own token alone. */
  readonly wantsCredential: (server: string) => boolean;
  /** Host of the public origin, as policy sees it. */
  readonly host: string;
}

export interface EvaluatePorts {
  readonly decisions: Decisions;
  /** Of the configuration in force. */
  readonly inForce: () => AboutOthers & { readonly pipeline: Pipeline };
  readonly checkTimeoutMs: number;
  readonly now: () => number;
}

/** Who asks, and in which request. */
export interface Asking {
  readonly askedBy: string;
  readonly peer: string;
  readonly requestId: string | null;
  readonly traceId: string | null;
  readonly onGone: CallContext["onGone"];
}

/** Of all evaluations of one request together. */
const REQUEST_MS = 10_000;
/** Decisions before other requests have a turn. */
const PER_TURN = 4;

/** The responses in the order of the request; those after the one that ended it are left out. */
export async function evaluateAll(
  ports: EvaluatePorts,
  asking: Asking,
  { evaluations, semantic }: EvaluationsAsked,
): Promise<EvaluationResponse[]> {
  const responses: EvaluationResponse[] = [];
  const end = ports.now() + REQUEST_MS;
  let isGone = false;
  asking.onGone(() => (isGone = true));
  for (const [i, evaluation] of evaluations.entries()) {
    if (i % PER_TURN === PER_TURN - 1) await nextTurn();
    if (isGone) break;
    const deadlineMs = Math.max(0, Math.min(ports.checkTimeoutMs, end - ports.now()));
    const response = await evaluate(ports, [asking, evaluation], deadlineMs);
    responses.push(response);
    if (isLast(semantic, response)) break;
  }
  return responses;
}

function isLast(semantic: Semantic, { decision }: EvaluationResponse): boolean {
  return (semantic === "deny_on_first_deny" && !decision) || (semantic === "permit_on_first_permit" && decision);
}

function evaluate(
  ports: EvaluatePorts,
  [asking, evaluation]: readonly [Asking, Evaluation],
  deadlineMs: number,
): Promise<EvaluationResponse> {
  const decide = async (facts: CheckFacts, signal: AbortSignal) => {
    noteAsking(facts, asking);
    return decideOne(ports, evaluation, [facts, signal]);
  };
  const call = { deadlineMs, onGone: asking.onGone };
  return ports.decisions({ decide, answer: answerOf }, call).then(({ body }) => body);
}

export function noteAsking(facts: CheckFacts, { askedBy, peer, requestId, traceId }: Omit<Asking, "onGone">): void {
  facts.door = "authzen";
  facts.askedBy = askedBy === "" ? null : askedBy;
  facts.sourceIp = peer;
  facts.meshRequestId = requestId;
  facts.traceId = traceId;
}

async function decideOne(
  ports: EvaluatePorts,
  evaluation: Evaluation,
  [facts, signal]: readonly [CheckFacts, AbortSignal],
): Promise<Step<Decided>> {
  const { pipeline, vouched, wantsCredential, host } = ports.inForce();
  const asked = questionOf(evaluation);
  if (!asked.ok) return asked;
  const { subject, server, message, headers, sourceIp } = asked.value;
  // Policy sees the address of the caller, as far as the party tells it; never the party's own.
  facts.sourceIp = sourceIp;
  const located = pipeline.endpointOf(server);
  if (!located.ok) return located;
  const endpoint = located.value;
  facts.server = endpoint.server;
  const identified = vouched(subject, resourcesOf(endpoint));
  facts.identity = identified.ok ? identified.value : (identified.caller ?? null);
  if (!identified.ok) return identified;
  const read = (): Step<Operation> => {
    const found = readOperation(message, headers);
    if (found.ok) return pass(found.operation);
    facts.rpc = found.rpc;
    return refuseBody(found.fault);
  };
  const path = new URL(endpoint.resource).pathname;
  facts.path = path;
  const request = { host, path, headers };
  const of = { endpoint, identity: identified.value, read, request, bytes: message.length };
  return pipeline.decide({ ...of, wantsCredential }, facts, signal);
}
