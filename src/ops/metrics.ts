import {
  Counter,
  Gauge,
  Histogram,
  Registry,
  type Counter as CounterOf,
  type Histogram as HistogramOf,
} from "prom-client";
import type { AuditDecision } from "../authz/audit-record.ts";
import { REFUSALS, type Reason } from "../authz/refusal.ts";
import { createCredentialMetrics, type CredentialMetrics } from "./credential-metrics.ts";
import { createRevocationMetrics, type RevocationMetrics } from "./revocation-metrics.ts";

export type StepName = "identify" | "decide" | "visible" | "credential" | "vault" | "wristband" | "audit";

export interface Metrics extends CredentialMetrics, RevocationMetrics {
  observeCheck(decision: AuditDecision, reason: Reason | null, seconds: number): void;
  observeStep(step: StepName, seconds: number): void;
  cache(name: "token" | "credential" | "wristband", result: "hit" | "miss" | "joined"): void;
  policyReload(result: "ok" | "failed"): void;
  policyRevision(revision: string): void;
  keyFetch(issuer: string, ok: boolean): void;
  auditFailures(total: number): void;
  restarts(total: number): void;
  /** Prometheus text format. */
  render(): Promise<string>;
  readonly contentType: string;
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const DECISIONS: readonly AuditDecision[] = ["allow", "deny", "fail", "public"];

/** What Prometheus sees (design 4.8). Labels come from closed sets only, so that nobody can grow them from outside. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const checks = new Counter({
    name: "mcp_authz_checks_total",
    help: "Checks answered",
    labelNames: ["decision", "reason"],
    registers,
  });
  const seconds = new Histogram({
    name: "mcp_authz_check_seconds",
    help: "Time of a Check",
    labelNames: ["decision"],
    buckets: SECONDS,
    registers,
  });
  const steps = new Histogram({
    name: "mcp_authz_step_seconds",
    help: "Time of one step of a Check",
    labelNames: ["step"],
    buckets: SECONDS,
    registers,
  });
  const caches = new Counter({
    name: "mcp_authz_cache_requests_total",
    help: "Look-ups per cache",
    labelNames: ["cache", "result"],
    registers,
  });
  const reloads = new Counter({
    name: "mcp_authz_policy_reloads_total",
    help: "Policy reloads",
    labelNames: ["result"],
    registers,
  });
  const policy = new Gauge({
    name: "mcp_authz_policy_info",
    help: "1 for the revision that is live",
    labelNames: ["revision"],
    registers,
  });
  const stale = new Gauge({
    name: "mcp_authz_policy_stale",
    help: "1 while the policy's files are broken and an older revision is live",
    registers,
  });
  const keys = new Counter({
    name: "mcp_authz_key_fetches_total",
    help: "Fetches of issuers' keys",
    labelNames: ["issuer", "result"],
    registers,
  });
  const audit = new Gauge({
    name: "mcp_authz_audit_failures",
    help: "Audit records that could not be written since the start",
    registers,
  });
  const restarts = new Gauge({
    name: "mcp_authz_restarts",
    help: "Restarts of the serving thread: a policy that ran away, or a crash",
    registers,
  });
  for (const result of ["ok", "failed"]) reloads.inc({ result }, 0);
  const countOf = boundCounters(checks);
  const timeOf = new Map<AuditDecision, HistogramOf.Internal<string>>(
    DECISIONS.map((decision) => [decision, seconds.labels(decision)]),
  );
  const stepOf = new Map<string, HistogramOf.Internal<string>>();
  return {
    ...besideTheDecision(registers, (duration) => steps.observe({ step: "vault" }, duration)),
    contentType: registry.contentType,
    observeCheck(decision, reason, duration) {
      countOf.get(`${decision} ${reason ?? ""}`)?.inc();
      timeOf.get(decision)?.observe(duration);
    },
    observeStep(step, duration) {
      let bound = stepOf.get(step);
      if (bound === undefined) stepOf.set(step, (bound = steps.labels(step)));
      bound.observe(duration);
    },
    cache: (name, result) => caches.inc({ cache: name, result }),
    policyReload(result) {
      reloads.inc({ result });
      stale.set(result === "ok" ? 0 : 1);
    },
    policyRevision(revision) {
      policy.reset();
      policy.set({ revision }, 1);
    },
    keyFetch: (issuer, ok) => keys.inc({ issuer, result: ok ? "ok" : "failed" }),
    auditFailures: (total) => audit.set(total),
    restarts: (total) => restarts.set(total),
    render: () => registry.metrics(),
  };
}

function besideTheDecision(registers: Registry[], observeVault: (seconds: number) => void) {
  return { ...createCredentialMetrics(registers, observeVault), ...createRevocationMetrics(registers) };
}

/** Every row at 0 from the start, so that a dashboard sees what never happened; hashing labels per Check would cost more. */
function boundCounters(checks: CounterOf): Map<string, CounterOf.Internal> {
  const bound = new Map<string, CounterOf.Internal>();
  const add = (decision: AuditDecision, reason: Reason | "") => {
    const child = checks.labels(decision, reason);
    child.inc(0);
    bound.set(`${decision} ${reason}`, child);
  };
  add("allow", "");
  add("public", "");
  for (const reason of Object.keys(REFUSALS) as Reason[]) add(REFUSALS[reason].kind, reason);
  return bound;
}
