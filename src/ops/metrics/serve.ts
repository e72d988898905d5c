// Prometheus metrics of serve (docs/operations.md). No I/O; labels come from closed sets only, so that no request makes a new series.
import { Counter, Gauge, Registry } from "prom-client";
import type { AuditDecision } from "../../authz/audit-record.ts";
import { REFUSALS, type Reason } from "../../authz/refusal.ts";
import { createConfigMetrics, type ConfigMetrics } from "./config.ts";
import { createCredentialMetrics, type CredentialMetrics } from "./credential.ts";
import { createHotCounter, createHotHistogram, type Cell, type Series } from "./hot-path.ts";
import { createRevocationMetrics, type RevocationMetrics } from "./revocation.ts";
import type { Snapshot } from "./sum.ts";
import { createTraceMetrics, type TraceMetrics } from "./traces.ts";

export type StepName = "identify" | "decide" | "visible" | "credential" | "vault" | "wristband" | "audit";

export interface Metrics extends ConfigMetrics, CredentialMetrics, RevocationMetrics, TraceMetrics {
  observeCheck(decision: AuditDecision, reason: Reason | null, seconds: number): void;
  observeStep(step: StepName, seconds: number): void;
  cache(name: "token" | "credential" | "wristband", result: "hit" | "miss" | "joined"): void;
  policyReload(result: "ok" | "failed"): void;
  policyRevision(revision: string): void;
  keyFetch(issuer: string, ok: boolean): void;
  auditFailures(total: number): void;
  restarts(total: number): void;
  /** A list of all servers had no room for all names of this server. */
  leftOut(server: string): void;
  /** @param header of a closed set: well-known ones, and those that the configuration names */
  headerDropped(header: string): void;
  /** Evaluations that were ended with their thread since the process began. */
  runaways(total: number): void;
  suspended(callers: number): void;
  policyQuarantined(is: boolean): void;
  /** @param reading of the broker's catalogue as serve has it */
  catalog(reading: CatalogReading): void;
  /** Prometheus text format. */
  render(): Promise<string>;
  /** The same as values, to be added to those of other workers: {@link sumOf}. */
  snapshot(): Promise<Snapshot>;
  readonly contentType: string;
}

export interface CatalogReading {
  /** Null without a catalogue. */
  readonly ageSeconds: number | null;
  readonly names: Readonly<Record<string, number>>;
  /** Servers whose part is invalid, and why. */
  readonly leftOut: Readonly<Record<string, string>>;
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const DECISIONS: readonly AuditDecision[] = ["allow", "deny", "fail", "public"];

/** @param worker number of the serving thread */
export function createMetrics(worker = 0): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const decision = decisionPath(registry, String(worker));
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
  for (const result of ["ok", "failed"]) reloads.inc({ result }, 0);
  return {
    ...besideTheDecision(registers, (seconds) => decision.observeStep("vault", seconds)),
    contentType: registry.contentType,
    ...decision,
    policyReload(result) {
      reloads.inc({ result });
      stale.set(result === "ok" ? 0 : 1);
    },
    policyRevision(revision) {
      policy.reset();
      policy.set({ revision }, 1);
    },
    keyFetch: (issuer, ok) => keys.inc({ issuer, result: ok ? "ok" : "failed" }),
    ...totals(registers),
    ...createConfigMetrics(registers),
    ...createTraceMetrics(registers),
    ...listMetrics(registers),
    render: () => registry.metrics(),
    snapshot: () => registry.getMetricsAsJSON(),
  };
}

/** Totals that other parts count; set at a scrape. */
function totals(registers: Registry[]): Pick<Metrics, "auditFailures" | "restarts" | keyof RunawayMetrics> {
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
  return {
    auditFailures: (total) => audit.set(total),
    restarts: (total) => restarts.set(total),
    ...runawayMetrics(registers),
  };
}

type RunawayMetrics = Pick<Metrics, "runaways" | "suspended" | "policyQuarantined">;

function runawayMetrics(registers: Registry[]): RunawayMetrics {
  const runaways = new Counter({
    name: "mcp_authz_runaways_total",
    help: "Evaluations of policy that did not end in time, and were ended with the serving thread",
    registers,
  });
  const suspended = new Gauge({
    name: "mcp_authz_callers_suspended",
    help: "Callers that are refused for a while, because policy ran away for them",
    registers,
  });
  const quarantined = new Gauge({
    name: "mcp_authz_policy_quarantined",
    help: "1 while the live policy, or its rules of the host's other paths, are not evaluated, because it ran away for several callers",
    registers,
  });
  return {
    runaways: (total) => runaways.inc(total),
    suspended: (callers) => suspended.set(callers),
    policyQuarantined: (is) => quarantined.set(is ? 1 : 0),
  };
}

/** Without a catalogue there is no age, and lists are refused. */
function listMetrics(registers: Registry[]): Pick<Metrics, "catalog" | "leftOut" | "headerDropped"> {
  const age = new Gauge({
    name: "mcp_authz_catalog_age_seconds",
    help: "Time since the broker last confirmed its catalogue; absent without one",
    registers,
  });
  const names = new Gauge({
    name: "mcp_authz_catalog_names",
    help: "Names that lists are made from",
    labelNames: ["kind"],
    registers,
  });
  const leftOut = new Counter({
    name: "mcp_authz_lists_left_out_total",
    help: "Lists of all servers that had no room for all names of this server",
    labelNames: ["server"],
    registers,
  });
  const missing = new Gauge({
    name: "mcp_authz_catalog_servers_left_out",
    help: "Servers of the catalogue whose part cannot be taken",
    registers,
  });
  const dropped = new Counter({
    name: "mcp_authz_headers_dropped_total",
    help: "Headers of allowed calls that did not reach the server though they may be a restriction: see servers.*.passHeaders",
    labelNames: ["header"],
    registers,
  });
  return {
    headerDropped: (header) => dropped.inc({ header }),
    leftOut: (server) => leftOut.inc({ server }),
    catalog({ ageSeconds, names: counts, leftOut: servers }) {
      age.remove();
      if (ageSeconds !== null) age.set(ageSeconds);
      for (const [kind, count] of Object.entries(counts)) names.set({ kind }, count);
      missing.set(Object.keys(servers).length);
    },
  };
}

function besideTheDecision(registers: Registry[], observeVault: (seconds: number) => void) {
  return { ...createCredentialMetrics(registers, observeVault), ...createRevocationMetrics(registers) };
}

/** Metrics that every Check updates. */
function decisionPath(registry: Registry, worker: string): Pick<Metrics, "observeCheck" | "observeStep" | "cache"> {
  const checks = checkCounts(registry);
  const ofWorker = createHotCounter(registry, {
    name: "mcp_authz_worker_checks_total",
    help: "Checks answered by each worker",
    labelNames: ["worker"],
  })(worker);
  const checkTimes = createHotHistogram(
    registry,
    { name: "mcp_authz_check_seconds", help: "Time of a Check", labelNames: ["decision"] },
    SECONDS,
  );
  const timeOf = new Map(DECISIONS.map((decision) => [decision, checkTimes(decision)]));
  const stepTimes = createHotHistogram(
    registry,
    { name: "mcp_authz_step_seconds", help: "Time of one step of a Check", labelNames: ["step"] },
    SECONDS,
  );
  const steps = new Map<StepName, Series>();
  const cacheCounts = createHotCounter(registry, {
    name: "mcp_authz_cache_requests_total",
    help: "Look-ups per cache",
    labelNames: ["cache", "result"],
  });
  const caches = new Map<string, Map<string, Cell>>();
  return {
    observeCheck(decision, reason, seconds) {
      const cell = checks.get(reason ?? decision);
      if (cell !== undefined) cell.count += 1;
      ofWorker.count += 1;
      timeOf.get(decision)?.observe(seconds);
    },
    observeStep(step, seconds) {
      let series = steps.get(step);
      if (series === undefined) steps.set(step, (series = stepTimes(step)));
      series.observe(seconds);
    },
    cache(name, result) {
      let results = caches.get(name);
      if (results === undefined) caches.set(name, (results = new Map<string, Cell>()));
      let cell = results.get(result);
      if (cell === undefined) results.set(result, (cell = cacheCounts(name, result)));
      cell.count += 1;
    },
  };
}

/** Keys: the reason, or the decision where there is none. Each series is 0 from the start, so that `rate()` sees its first increment. */
function checkCounts(registry: Registry): ReadonlyMap<Reason | AuditDecision, Cell> {
  const tally = createHotCounter(registry, {
    name: "mcp_authz_checks_total",
    help: "Checks answered",
    labelNames: ["decision", "reason"],
  });
  const reasons = Object.keys(REFUSALS) as Reason[];
  return new Map<Reason | AuditDecision, Cell>([
    ["allow", tally("allow", "")],
    ["public", tally("public", "")],
    ...reasons.map((reason): [Reason, Cell] => [reason, tally(REFUSALS[reason].kind, reason)]),
  ]);
}
