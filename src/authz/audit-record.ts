import { actorsOf } from "../jose/act-claim.ts";
import type { CredentialOrigin, Identity } from "./types.ts";
import { REFUSALS, type Reason } from "./refusal.ts";
import type { CheckFacts } from "./facts.ts";

/** What a Check ended in. `fail`: we could not decide, and refused. `public`: a document or preflight. */
export type AuditDecision = "allow" | "deny" | "fail" | "public";

/** One line of the audit log (design 4.8). Named fields only; no tokens, secrets or arguments. */
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
  /** Who acts for the subject, by the caller's token (RFC 8693 §4.1). */
  readonly actor: string | null;
  readonly server: string | null;
  readonly method: string | null;
  readonly kind: string | null;
  readonly name: string | null;
  readonly credential: string | null;
  readonly credential_path: string | null;
  readonly credential_version: number | null;
  readonly credential_audience: string | null;
  readonly credential_actors: readonly string[] | null;
  readonly policy: string | null;
  readonly wristband: string | null;
  readonly source_ip: string | null;
  /** The policy author's `reason`, or the servers that a list has no room for. */
  readonly note: string | null;
  /** What exactly was wrong, in our words; never a value of the request. */
  readonly detail: string | null;
  readonly ms: number;
}

const MAX_TEXT = 256;
const NO_ORIGIN: CredentialOrigin = {};

/** What a Check ended in, and why. */
export interface Verdict {
  readonly decision: AuditDecision;
  /** Null for an allow and for a public document. */
  readonly reason: Reason | null;
  readonly detail: string | null;
}

/** What a record is made of: a Check's facts, or what the supervisor still has of one. */
export type AuditedFacts = Omit<CheckFacts, "identity"> & {
  readonly identity: Pick<Identity, "issuer" | "subject" | "claims"> | null;
};

/** The time, and how it is written. */
export interface AuditClock {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** ISO 8601, of milliseconds since the epoch; see {@link createIsoTime}. */
  readonly isoTime: (ms: number) => string;
}

/** The record of a Check that ends now; its `time` is that of the Check's arrival. */
export function auditRecord(
  facts: AuditedFacts,
  { decision, reason, detail }: Verdict,
  clock: AuditClock,
): AuditRecord {
  const { path, version, audience, actors } = facts.origin ?? NO_ORIGIN;
  return {
    time: clock.isoTime(facts.arrivedAt),
    request_id: facts.requestId,
    mesh_request_id: capped(facts.meshRequestId),
    trace_id: facts.traceId,
    decision,
    reason,
    issuer: capped(facts.identity?.issuer ?? null),
    subject: capped(facts.identity?.subject ?? null),
    actor: actorOf(facts.identity),
    server: facts.server,
    method: capped(facts.method),
    kind: facts.kind,
    name: capped(facts.name),
    credential: facts.credential,
    credential_path: capped(path ?? null),
    credential_version: version ?? null,
    credential_audience: capped(audience ?? null),
    credential_actors: actors ?? null,
    policy: facts.policy,
    wristband: facts.wristband,
    source_ip: capped(facts.sourceIp),
    note: capped(facts.note),
    detail: capped(detail),
    ms: Math.max(0, Math.round((clock.now() - facts.arrivedAt) * 1000) / 1000),
  };
}

/** Writes times as ISO 8601. Nearly every Check falls into the second of the one before. */
export function createIsoTime(): (ms: number) => string {
  let second = Number.NaN;
  let prefix = "";
  return (ms) => {
    const current = Math.floor(ms / 1000);
    if (current !== second) {
      prefix = new Date(current * 1000).toISOString().slice(0, -4);
      second = current;
    }
    return `${prefix}${String(Math.trunc(ms - current * 1000)).padStart(3, "0")}Z`;
  };
}

/** The decision that a refusal stands for. */
export function decisionOf(reason: Reason): "deny" | "fail" {
  return REFUSALS[reason].kind;
}

function actorOf(identity: AuditedFacts["identity"]): string | null {
  return identity === null ? null : (actorsOf(identity.claims)[0] ?? null);
}

function capped(text: string | null): string | null {
  return text === null || text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}
