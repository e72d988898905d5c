// Makes the one audit record of a Check from its facts and its end. Pure; time comes from the clock that is passed in.
import type { CredentialOrigin, Identity } from "./types.ts";
import { OWN_ISSUER } from "./own-issuers.ts";
import { REFUSALS, type Reason } from "./refusal.ts";
import type { CheckFacts, Door } from "./facts.ts";

/** The end of a Check. `fail`: no decision was possible, so it was refused. `public`: a document or preflight. */
export type AuditDecision = "allow" | "deny" | "fail" | "public";

/** One line of the audit log. Named fields only; no tokens, secrets or arguments. */
export interface AuditRecord {
  readonly time: string;
  readonly request_id: string;
  readonly mesh_request_id: string | null;
  /** Trace id of a well-formed `traceparent` (W3C Trace Context). */
  readonly trace_id: string | null;
  readonly door: Door;
  /** Who asked about the caller, where that is another. */
  readonly asked_by: string | null;
  readonly decision: AuditDecision;
  readonly reason: Reason | null;
  /** How the caller came: `jwt`, or the last part of an issuer of ours. */
  readonly auth: string | null;
  readonly issuer: string | null;
  readonly subject: string | null;
  /** The current actor in the caller's token (RFC 8693 §4.1). */
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
  /** Headers of the request that may be a restriction and did not reach the server; null for none. */
  readonly headers_dropped: readonly string[] | null;
  readonly policy: string | null;
  readonly wristband: string | null;
  readonly source_ip: string | null;
  /** The policy author's `reason`, or the servers whose names did not all fit into the wristband of a list. */
  readonly note: string | null;
  /** The policy author's names of what decided; null where there are none. */
  readonly labels: readonly string[] | null;
  /** The fault in words of this program; never a value of the request. */
  readonly detail: string | null;
  readonly ms: number;
}

const MAX_TEXT = 256;
const NO_ORIGIN: CredentialOrigin = {};

/** The end of a Check, with the reason of a refusal. */
export interface Verdict {
  readonly decision: AuditDecision;
  /** Null for an allow and for a public document. */
  readonly reason: Reason | null;
  readonly detail: string | null;
}

/** The facts that a record is made of: those of a Check, or the part that the supervisor holds of one. */
export type AuditFacts = Omit<CheckFacts, "identity"> & {
  readonly identity: Pick<Identity, "issuer" | "subject" | "actors"> | null;
};

/** The clock, and the form in which times are written. */
export interface AuditClock {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** ISO 8601, of milliseconds since the epoch; see {@link createIsoTime}. */
  readonly isoTime: (ms: number) => string;
}

/** The record of a Check that ends now; its `time` is that of the Check's arrival. */
export function auditRecord(facts: AuditFacts, { decision, reason, detail }: Verdict, clock: AuditClock): AuditRecord {
  const { path, version, audience, actors } = facts.origin ?? NO_ORIGIN;
  return {
    time: clock.isoTime(facts.arrivedAt),
    request_id: facts.requestId,
    mesh_request_id: capped(facts.meshRequestId),
    trace_id: facts.traceId,
    door: facts.door,
    asked_by: capped(facts.askedBy),
    decision,
    reason,
    ...callerOf(facts.identity),
    server: facts.server,
    method: capped(facts.method),
    kind: facts.kind,
    name: capped(facts.name),
    credential: facts.credential,
    credential_path: capped(path ?? null),
    credential_version: version ?? null,
    credential_audience: capped(audience ?? null),
    credential_actors: actors ?? null,
    headers_dropped: facts.droppedHeaders.length === 0 ? null : facts.droppedHeaders,
    policy: facts.policy,
    wristband: facts.wristband,
    source_ip: capped(facts.sourceIp),
    note: capped(facts.note),
    labels: facts.labels,
    detail: capped(detail),
    ms: Math.max(0, Math.round((clock.now() - facts.arrivedAt) * 1000) / 1000),
  };
}

/** Issuers of ours say how the caller came; every other one is a token's. */
function callerOf(identity: AuditFacts["identity"]): Pick<AuditRecord, "auth" | "issuer" | "subject" | "actor"> {
  if (identity === null) return { auth: null, issuer: null, subject: null, actor: null };
  const { issuer, subject, actors } = identity;
  const auth = issuer.startsWith(OWN_ISSUER) ? issuer.slice(OWN_ISSUER.length) : "jwt";
  return { auth, issuer: capped(issuer), subject: capped(subject), actor: actors[0] ?? null };
}

/** Writes times as ISO 8601. The text of a second is cached: most Checks arrive in the same second as the one before. */
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

/** Maps a refusal to the decision that the audit line and the metrics show. */
export function decisionOf(reason: Reason): "deny" | "fail" {
  return REFUSALS[reason].kind;
}

function capped(text: string | null): string | null {
  return text === null || text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}
