import { REFUSALS, type Reason } from "./refusal.ts";
import type { Trail } from "./trail.ts";

/** What a Check ended in. `fail`: we could not decide, and refused. `public`: a document or preflight. */
export type AuditDecision = "allow" | "deny" | "fail" | "public";

/** One line of the audit log (design 4.8). Named fields only; no claims, tokens, arguments or detail. */
export interface AuditRecord {
  readonly time: string;
  readonly request_id: string;
  readonly mesh_request_id: string | null;
  /** Of a well-formed W3C `traceparent`. */
  readonly trace_id: string | null;
  readonly decision: AuditDecision;
  readonly reason: Reason | null;
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly server: string | null;
  readonly method: string | null;
  readonly kind: string | null;
  readonly name: string | null;
  readonly credential: string | null;
  readonly policy: string | null;
  readonly wristband: string | null;
  readonly source_ip: string | null;
  /** The policy author's `reason`. */
  readonly note: string | null;
  /** What exactly was wrong, in our words; never a value of the request. */
  readonly detail: string | null;
  readonly ms: number;
}

const MAX_TEXT = 256;

/** @param reason null for an allow and for a public document */
export function auditRecord(
  trail: Trail,
  decision: AuditDecision,
  reason: Reason | null,
  detail: string | null,
  now: number,
): AuditRecord {
  return {
    time: new Date(trail.arrivedAt).toISOString(),
    request_id: trail.requestId,
    mesh_request_id: capped(trail.meshRequestId),
    trace_id: trail.traceId,
    decision,
    reason,
    issuer: capped(trail.identity?.issuer ?? null),
    subject: capped(trail.identity?.subject ?? null),
    server: trail.server,
    method: capped(trail.method),
    kind: trail.kind,
    name: capped(trail.name),
    credential: trail.credential,
    policy: trail.policy,
    wristband: trail.wristband,
    source_ip: capped(trail.sourceIp),
    note: capped(trail.note),
    detail: capped(detail),
    ms: Math.max(0, Math.round((now - trail.arrivedAt) * 1000) / 1000),
  };
}

/** The decision that a refusal stands for. */
export function decisionOf(reason: Reason): "deny" | "fail" {
  return REFUSALS[reason].kind;
}

function capped(text: string | null): string | null {
  return text === null || text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}
