// The span of one decision, whatever door it came through: how it begins, and what it notes of the facts when it ends. Pure.
import type { Verdict } from "./audit-record.ts";
import type { CheckFacts } from "./facts.ts";
import { METHOD_NAMES } from "../mcp/method-table.ts";
import { SUPPORTED_VERSIONS } from "../mcp/versions.ts";
import { inSpan, type Span } from "../telemetry/span.ts";

/** Before they are checked, both are any text of a client's: that is noted nowhere. */
const METHODS: ReadonlySet<string> = new Set(METHOD_NAMES);
const VERSIONS: ReadonlySet<string> = new Set(SUPPORTED_VERSIONS);

/** Begins the span of a call; null for one that is not sampled. @param traceparent the request's header */
export type BeginSpan = (name: string, kind: "server", traceparent: string | undefined) => Span | null;

/** Runs the pipeline in a span, if the call is sampled: its trace is the audit line's, and of what the call causes. */
export function recorded<T>(
  begin: BeginSpan,
  facts: CheckFacts,
  {
    method,
    traceparent,
    work,
  }: { readonly method: string; readonly traceparent: string | undefined; readonly work: () => T },
): T {
  const span = begin(method, "server", traceparent);
  if (span === null) return work();
  span.set("rpc.system.name", "grpc");
  span.set("rpc.method", method);
  facts.traceId = span.traceId;
  facts.span = span;
  return inSpan(span, work);
}

/**
 * Ends it. A refusal is the answer to a question that was understood (deny), so no error; `fail` is one. The audit line has
 * the rest: it is found by `mcp_authz.request_id`.
 */
export function endDecisionSpan(span: Span, facts: CheckFacts, { decision, reason }: Verdict): void {
  span.set("mcp_authz.request_id", facts.requestId);
  span.set("mcp_authz.decision", decision);
  span.set("mcp_authz.reason", reason);
  span.set("mcp_authz.server", facts.server);
  span.set("mcp_authz.credential", facts.credential);
  span.set("mcp_authz.policy", facts.policy);
  if (METHODS.has(facts.method ?? "")) span.set("mcp.method.name", facts.method);
  if (VERSIONS.has(facts.rpc?.version ?? "")) span.set("mcp.protocol.version", facts.rpc?.version);
  if (facts.kind === "tool") span.set("gen_ai.tool.name", facts.name);
  if (facts.kind === "prompt") span.set("gen_ai.prompt.name", facts.name);
  span.end(decision === "fail" ? reason : null);
}
