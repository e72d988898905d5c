// One page of the metrics of several workers: what each has counted in all, also before its thread was ended. Pure.
import { AggregatorRegistry, type MetricObjectWithValues, type MetricValue } from "prom-client";

/** The metrics of one registry as values. */
export type Snapshot = readonly MetricObjectWithValues<MetricValue<string>>[];

/**
 * Gauges that say the same of each worker, or of the worst one. All others are added: counters, histograms, and numbers of things
 * that each worker has of its own.
 */
const GREATEST: ReadonlySet<string> = new Set([
  "mcp_authz_policy_info",
  "mcp_authz_policy_stale",
  "mcp_authz_policy_quarantined",
  "mcp_authz_callers_suspended",
  "mcp_authz_config_stale",
  "mcp_authz_config_reloads_total",
  "mcp_authz_restarts",
  "mcp_authz_runaways_total",
  "mcp_authz_revocations",
  "mcp_authz_revocations_stale",
  "mcp_authz_catalog_age_seconds",
  "mcp_authz_catalog_names",
  "mcp_authz_catalog_servers_left_out",
  "mcp_authz_credential_never_found",
]);
const LEAST: ReadonlySet<string> = new Set(["mcp_authz_vault_last_login_ok"]);

function aggregatorOf(name: string): "max" | "min" | "sum" {
  if (GREATEST.has(name)) return "max";
  return LEAST.has(name) ? "min" : "sum";
}

export interface SumOfWorkers {
  /** @param snapshots by worker, of those that answered */
  render(snapshots: ReadonlyMap<number, Seen>): Promise<string>;
  readonly contentType: string;
}

/** What a worker said. */
export interface Seen {
  /** Of its thread: another one counts from 0. */
  readonly thread: number;
  readonly values: Snapshot;
}

/**
 * A sum that goes down when one thread ends would look like a counter that began anew, and all others' counts like new ones
 * (https://prometheus.io/docs/concepts/metric_types/#counter): so what an ended thread had counted at the last look stays in it.
 */
export function createSumOfWorkers(): SumOfWorkers {
  const last = new Map<number, Seen>();
  let ended: Snapshot[] = [];
  return {
    contentType: AggregatorRegistry.PROMETHEUS_CONTENT_TYPE,
    async render(snapshots) {
      for (const [worker, seen] of snapshots) {
        const before = last.get(worker);
        if (before !== undefined && before.thread !== seen.thread) ended.push(countersOf(before.values));
        last.set(worker, seen);
      }
      if (ended.length > 1) ended = [await sum(ended)];
      const now = [...last].map(([worker, { values }]) => (snapshots.has(worker) ? values : countersOf(values)));
      return AggregatorRegistry.aggregate(inForms([...now, ...ended])).metrics();
    },
  };
}

function countersOf(values: Snapshot): Snapshot {
  return values.filter(({ type }) => ["counter", "histogram"].includes(String(type)));
}

async function sum(snapshots: readonly Snapshot[]): Promise<Snapshot> {
  return AggregatorRegistry.aggregate(inForms(snapshots)).getMetricsAsJSON();
}

function inForms(snapshots: readonly Snapshot[]) {
  return snapshots.map((values) => values.map((metric) => ({ ...metric, aggregator: aggregatorOf(metric.name) })));
}
