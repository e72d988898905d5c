// The span of a relayed call, where serve has sampled its Check: the wristband says so, which no client can write. Pure.
import { currentSpan, inSpan, type Span } from "../../telemetry/span.ts";
import type { RelayCall } from "./admit.ts";

/** Goes on with the trace of a Check; null for a text that is no context. */
export type ResumeSpan = (name: string, kind: "server", traceparent: string) => Span | null;

/** Runs a call in its span, if it has one: its requests to the server and to serve become children. */
export function traced<T>(
  resume: ResumeSpan | undefined,
  { call, requestId, work }: { readonly call: RelayCall; readonly requestId: string; readonly work: () => Promise<T> },
): Promise<T> {
  const span = resume === undefined ? null : begin(resume, call);
  if (span === null) return work();
  span.set("mcp_authz.request_id", requestId);
  return inSpan(span, work).finally(() => span.end());
}

/** Named as OpenTelemetry's conventions for MCP have it. A resource's URI is an argument: it is not noted. */
function begin(resume: ResumeSpan, { wristband, operation, upstream, name }: RelayCall): Span | null {
  const trace = wristband.use === "call" ? wristband.trace : undefined;
  if (trace === undefined) return null;
  const { method, kind, version } = operation;
  const isNamed = kind === "tool" || kind === "prompt";
  const span = resume(isNamed ? `${method} ${name}` : method, "server", trace);
  span?.set("mcp.method.name", method);
  span?.set("mcp.protocol.version", version);
  span?.set("mcp_authz.server", upstream.name);
  if (isNamed) span?.set(kind === "tool" ? "gen_ai.tool.name" : "gen_ai.prompt.name", name);
  return span;
}

/** Ends the span of the call that is under way here. @param isFault true for an end that is nobody's decision */
export function endCallSpan(outcome: string, isFault: boolean): void {
  const span = currentSpan();
  span?.set("mcp_authz.outcome", outcome);
  span?.end(isFault ? outcome : null);
}
