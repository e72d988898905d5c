// The outcome of a Check as the bytes of a CheckResponse, verified before they leave. Pure.
import { refusalResponse, type RefusalResponseSettings } from "../authz/refusal-response.ts";
import { decisionOf, type Verdict } from "../authz/audit-record.ts";
import { Grant } from "../authz/grant.ts";
import type { Outcome } from "../authz/outcome.ts";
import { refuse, type Refused } from "../authz/step.ts";
import type { Publication } from "../authz/public-document.ts";
import { REFUSALS, type Reason } from "../authz/refusal.ts";
import type { CheckFacts } from "../authz/facts.ts";
import { CHECK_CODEC, type CheckCodec } from "./check-codec.ts";
import type { JsonObject } from "../json/types.ts";
import type { CheckResponse, Metadata } from "./encode-check-response.ts";
import { isAllow, isRefusal } from "./verify-response.ts";

/** The bytes of a CheckResponse, with the verdict that they carry. */
export interface EncodedResponse extends Verdict {
  readonly bytes: Buffer;
  /** True for status 0: the request goes on. */
  readonly isGrant?: boolean;
}

export interface ResponseSettings {
  readonly answers: RefusalResponseSettings;
  readonly encode: CheckCodec["encode"];
}

const ALLOW: Verdict = { decision: "allow", reason: null, detail: null };
const PUBLIC: Verdict = { decision: "public", reason: null, detail: null };

/** google.rpc.Code; Envoy logs it, and refuses on any but 0. */
const PERMISSION_DENIED = 7;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

/** Sent when no other response can be built. Made once, before the first request. */
const LAST_RESORT: EncodedResponse = {
  bytes: Buffer.from(
    CHECK_CODEC.encode({
      kind: "denied",
      code: PERMISSION_DENIED,
      http: 500,
      headers: new Map([["content-type", "application/json"]]),
      body: JSON.stringify({ error: "internal", message: REFUSALS.internal.message }),
      metadata: new Map([["decision", "fail"]]),
    }),
  ),
  decision: "fail",
  reason: "internal",
  detail: "the answer could not be built",
};

/**
 * Encodes an outcome, and verifies the bytes: status 0 leaves for a {@link Grant} alone, with exactly its headers.
 * Anything else, exceptions included, is a refusal (threat model: M1, D01, C22).
 */
export function toCheckResponse(settings: ResponseSettings, outcome: Outcome, facts: CheckFacts): EncodedResponse {
  try {
    const built = build(settings, outcome, facts);
    return isSafe(built.bytes, outcome) ? built : LAST_RESORT;
  } catch {
    return LAST_RESORT;
  }
}

function build({ answers, encode }: ResponseSettings, outcome: Outcome, facts: CheckFacts): EncodedResponse {
  const [response, { decision, reason, detail }] = outcome.ok
    ? accepted(answers, outcome.value, facts)
    : refusal(answers, outcome, facts);
  return { bytes: encode(response), decision, reason, detail, isGrant: response.kind === "ok" };
}

/** A response, and the verdict that it carries. */
type Built = readonly [response: CheckResponse, verdict: Verdict];

function accepted(settings: RefusalResponseSettings, value: Grant | Publication, facts: CheckFacts): Built {
  if (Grant.is(value)) {
    const { set, remove, shared, responseHeaders, query, route, refused } = value;
    const verdict = refused === null ? ALLOW : verdictOf(refused);
    const fault = route === "broker" ? [] : faultOf(settings, facts);
    const metadata = [...metadataOf(facts, verdict, route), ...fault];
    const more = moreOf(facts, value.metadata);
    return [{ kind: "ok", set, remove, shared, responseHeaders, query, metadata, more }, verdict];
  }
  const { headers, body, published } = value;
  if (!published) throw new TypeError("neither a grant nor a publication");
  const metadata = metadataOf(facts, PUBLIC, null);
  return [{ kind: "denied", code: PERMISSION_DENIED, http: 200, headers, body, metadata }, PUBLIC];
}

function refusal(settings: RefusalResponseSettings, refused: Refused, facts: CheckFacts): Built {
  const { status: http, headers, body } = refusalResponse(settings, refused, facts);
  const verdict = verdictOf(refused);
  const metadata = metadataOf(facts, verdict, null);
  const more = moreOf(facts, refused.metadata ?? null);
  return [{ kind: "denied", code: grpcCode(refused.reason), http, headers, body, metadata, more }, verdict];
}

/** What the policy of the host's paths says to the data plane, with the id that its audit line has. */
function moreOf({ endpoint, requestId }: CheckFacts, said: JsonObject | null): JsonObject | null {
  return endpoint?.kind === "host" ? { ...said, decision_id: requestId } : null;
}

function verdictOf({ reason, detail }: Refused): Verdict {
  return { decision: decisionOf(reason), reason, detail: detail ?? null };
}

function grpcCode(reason: Reason): number {
  const { http, kind } = REFUSALS[reason];
  if (http === 401) return UNAUTHENTICATED;
  return kind === "fail" ? UNAVAILABLE : PERMISSION_DENIED;
}

const MAX_METADATA = 256;
/** With an id as long as clients make them. */
const MAX_FAULT = 1024;

function metadataOf(facts: CheckFacts, { decision, reason }: Verdict, route: string | null): Metadata {
  const metadata: [string, string][] = [];
  const add = (name: string, value: string | null) => {
    if (value !== null) metadata.push([name, value.slice(0, MAX_METADATA).toWellFormed()]);
  };
  add("route", route);
  add("decision", decision);
  add("reason", reason);
  add("subject", facts.identity?.subject ?? null);
  add("server", facts.server);
  add("name", facts.name);
  return metadata;
}

/** What the data plane says in the place of a direct server that fails: whole, or not at all. */
function faultOf(settings: RefusalResponseSettings, facts: CheckFacts): Metadata {
  const { status, body } = refusalResponse(settings, refuse("upstream_unavailable"), facts);
  const fault = body.toWellFormed();
  return fault.length <= MAX_FAULT
    ? [
        ["fault", fault],
        ["fault_status", String(status)],
      ]
    : [];
}

function isSafe(bytes: Buffer, outcome: Outcome): boolean {
  return outcome.ok && Grant.is(outcome.value) ? isAllow(bytes, outcome.value) : isRefusal(bytes);
}
