// What a decision ends in, as the bytes of a result, verified before they leave. Pure.
import { decisionOf, type Verdict } from "../authz/audit-record.ts";
import { challenge } from "../authz/challenge.ts";
import type { Answer } from "../authz/decision-call.ts";
import type { CheckFacts } from "../authz/facts.ts";
import { Grant } from "../authz/grant.ts";
import { rpcRefusal, type RefusalResponseSettings } from "../authz/refusal-response.ts";
import { REFUSALS, type Reason } from "../authz/refusal.ts";
import type { Refused, Step } from "../authz/step.ts";
import { CODE, encodeResult, isError, isPass, type McpResult } from "./encode.ts";
import { METADATA, type Admission } from "./request-phase.ts";
import type { Passed } from "./response-phase.ts";
import { Ticket } from "./ticket.ts";

/** The bytes of a result, with the verdict that they carry. */
export interface EncodedResult extends Answer {
  readonly bytes: Buffer;
}

const ALLOW: Verdict = { decision: "allow", reason: null, detail: null };

/** Sent when no other result can be built. Made once, before the first request. */
export const LAST_RESORT: EncodedResult = {
  bytes: encodeResult({
    ...{ kind: "error", code: CODE.unknown, message: REFUSALS.internal.message },
    data: JSON.stringify({ reason: "internal" }),
  }),
  ...{ decision: "fail", reason: "internal", detail: "the answer could not be built", isGrant: false },
};

/** Lets a request through for a {@link Grant} alone. Anything else, exceptions included, is an error. */
export function requestResult(
  answers: RefusalResponseSettings,
  outcome: Step<Admission>,
  facts: CheckFacts,
): EncodedResult {
  return built(answers, [outcome, facts], ({ grant, ticket }) => {
    if (!Grant.is(grant)) throw new TypeError("no grant");
    const { set, remove } = grant;
    return { kind: "pass", set, remove, metadata: new Map([[METADATA.ticket, ticket]]) };
  });
}

/** Lets an answer through for a {@link Ticket} alone. */
export function responseResult(
  answers: RefusalResponseSettings,
  outcome: Step<Passed>,
  facts: CheckFacts,
): EncodedResult {
  return built(answers, [outcome, facts], ({ ticket, json }) => {
    if (!Ticket.is(ticket)) throw new TypeError("no ticket");
    return json === null ? NOTHING : { kind: "mutated", json };
  });
}

const NOTHING: McpResult = { kind: "pass", set: new Map(), remove: [], metadata: new Map() };

function built<T>(
  answers: RefusalResponseSettings,
  [outcome, facts]: readonly [Step<T>, CheckFacts],
  accept: (value: T) => McpResult,
): EncodedResult {
  try {
    if (!outcome.ok) return refusal(answers, outcome, facts);
    const bytes = encodeResult(accept(outcome.value));
    return isPass(bytes) ? { bytes, ...ALLOW, isGrant: true } : LAST_RESORT;
  } catch {
    return LAST_RESORT;
  }
}

function refusal(answers: RefusalResponseSettings, refused: Refused, facts: CheckFacts): EncodedResult {
  const { reason, detail = null } = refused;
  const { message, data } = told(answers, refused, facts);
  const bytes = encodeResult({ kind: "error", code: codeOf(reason), message, data: JSON.stringify(data) });
  return isError(bytes) ? { bytes, decision: decisionOf(reason), reason, detail, isGrant: false } : LAST_RESORT;
}

/** As behind Envoy: the same words, and in `data` what a JSON-RPC error has there. A 401 says no more than its challenge. */
function told(
  answers: RefusalResponseSettings,
  refused: Refused,
  facts: CheckFacts,
): { message: string; data: object } {
  const { http, message } = REFUSALS[refused.reason];
  const isChallenged = http === 401 || refused.reason === "scope_insufficient";
  const challenged = isChallenged ? { challenge: challenge(answers, facts.path ?? "/mcp", refused) } : {};
  if (http === 401) return { message, data: { error: "unauthorized", requestId: facts.requestId, ...challenged } };
  const { error } = rpcRefusal({ ...answers, denial: "jsonrpc" }, refused, facts) as {
    error: { message: string; data: object };
  };
  return { message: error.message, data: { ...error.data, ...challenged } };
}

function codeOf(reason: Reason): (typeof CODE)[keyof typeof CODE] {
  const { http, kind } = REFUSALS[reason];
  if (kind === "fail") return CODE.unknown;
  if (http === 429) return CODE.resourceExhausted;
  return http === 401 || http === 403 || http === 404 ? CODE.permissionDenied : CODE.invalid;
}
