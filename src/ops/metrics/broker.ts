// Prometheus metrics of the broker (docs/operations.md). No I/O; labels come from closed sets only.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { createConfigMetrics, type ConfigMetrics } from "./config.ts";
import { createTraceMetrics, type TraceTotals } from "./traces.ts";
import type { Reason } from "../../authz/refusal.ts";

/** End of a relayed call: `answered` (also with an error of the server), `left` (the client closed), or the refusal's reason. */
export type CallOutcome = "answered" | "left" | Reason;

/** State of one upstream at a scrape. */
export interface UpstreamReading {
  readonly server: string;
  readonly state: string;
  readonly ageSeconds: number | null;
  readonly entries: Readonly<Record<string, number>>;
  readonly dropped: Readonly<Record<string, number>>;
  readonly changed: Readonly<Record<string, number>>;
  /** What its direct route cannot carry. */
  readonly directFaults: readonly string[];
  /** True while its calls are refused at once, and while one tries it. */
  readonly isRefused: boolean;
}

/** Values that are read at a scrape, not counted. */
export interface BrokerReading {
  /** Of the catalogue. */
  readonly revision: string;
  readonly upstreams: readonly UpstreamReading[];
  /** True while serve's keys cannot be fetched. */
  readonly keysFailing: boolean;
  /** Bytes that are held for callers. */
  readonly heldBytes: number;
  /** True while an older configuration is in force than stands in its files. */
  readonly configStale: boolean;
  readonly traces: TraceTotals;
}

export interface BrokerMetrics<WristbandResult extends string> extends Pick<ConfigMetrics, "configReload"> {
  /** One MCP request that was answered here. @param method null when it was not known */
  observeRequest(method: string | null, reason: Reason | null): void;
  /** Calls relayed to upstreams. */
  readonly calls: {
    observe(server: string, outcome: CallOutcome, seconds: number): void;
    /** Events of an upstream's stream that belong to no call of this client. */
    dropped(server: string, events: number): void;
    /** Events of an upstream's stream beyond `limits.notificationsPerSecond`. */
    thinned(server: string, events: number): void;
  };
  /** One wristband was verified, with this result. */
  wristband(result: WristbandResult): void;
  /** A server refused a call's credential with 401, and serve was asked for another. */
  refetched(server: string, result: "renewed" | "none"): void;
  listed(server: string, ok: boolean): void;
  /** Takes the servers of another configuration: their names become labels. */
  setServers(servers: readonly string[]): void;
  /** Prometheus text format. */
  render(reading: BrokerReading): Promise<string>;
  readonly contentType: string;
}

export interface BrokerMetricsOptions<WristbandResult extends string> {
  /** Names of the configuration: with the sets below, all that a label can be. */
  readonly servers: readonly string[];
  readonly methods: readonly string[];
  readonly states: readonly string[];
  readonly wristbandResults: readonly WristbandResult[];
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const OTHER = "other";

/** Makes the broker's metrics for Prometheus. Labels come from closed sets only; a value that is not in its set is `other`. */
export function createBrokerMetrics<WristbandResult extends string>(
  options: BrokerMetricsOptions<WristbandResult>,
): BrokerMetrics<WristbandResult> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counted = countersOf(registry);
  const gauges = gaugesOf(registry);
  const config = createConfigMetrics([registry]);
  const { traces } = createTraceMetrics([registry]);
  const known = { servers: new Set(options.servers), methods: new Set(options.methods) };
  const serverOf = (name: string) => (known.servers.has(name) ? name : OTHER);
  const results: ReadonlySet<string> = new Set(options.wristbandResults);
  for (const result of results) counted.wristbands.inc({ result }, 0);
  const setServers = (servers: readonly string[]) => {
    known.servers = new Set(servers);
    for (const server of servers) {
      for (const result of ["ok", "failed"]) counted.listings.inc({ server, result }, 0);
      for (const result of ["renewed", "none"]) counted.refetches.inc({ server, result }, 0);
    }
  };
  setServers(options.servers);
  return {
    contentType: registry.contentType,
    observeRequest(method, reason) {
      const label = method !== null && known.methods.has(method) ? method : OTHER;
      counted.requests.inc({ method: label, outcome: reason ?? "ok" });
    },
    calls: {
      observe(server, outcome, seconds) {
        const label = serverOf(server);
        counted.calls.inc({ server: label, outcome });
        counted.seconds.observe({ server: label }, seconds);
      },
      dropped: (server, events) => counted.dropped.inc({ server: serverOf(server) }, events),
      thinned: (server, events) => counted.thinned.inc({ server: serverOf(server) }, events),
    },
    wristband: (result) => counted.wristbands.inc({ result: results.has(result) ? result : OTHER }),
    setServers,
    configReload: config.configReload,
    refetched: (server, result) => counted.refetches.inc({ server: serverOf(server), result }),
    listed: (server, ok) => counted.listings.inc({ server, result: ok ? "ok" : "failed" }),
    render(reading) {
      gauges.read(reading, options.states);
      config.configStale(reading.configStale);
      traces(reading.traces);
      return registry.metrics();
    },
  };
}

function countersOf(registry: Registry) {
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name, help, labelNames, registers });
  return {
    requests: counter("mcp_authz_broker_requests_total", "MCP requests that the broker answered itself or refused", [
      "method",
      "outcome",
    ]),
    calls: counter("mcp_authz_relayed_calls_total", "Calls carried to their servers", ["server", "outcome"]),
    dropped: counter("mcp_authz_relay_dropped_events_total", "Events of a server's stream that were for nobody", [
      "server",
    ]),
    refetches: counter(
      "mcp_authz_relay_refetches_total",
      "Credentials that a server refused and serve was asked for anew",
      ["server", "result"],
    ),
    thinned: counter(
      "mcp_authz_relay_thinned_events_total",
      "Events of a server's stream beyond limits.notificationsPerSecond",
      ["server"],
    ),
    wristbands: counter("mcp_authz_wristband_verifications_total", "Wristbands verified, by result", ["result"]),
    listings: counter("mcp_authz_upstream_listings_total", "Attempts to list a server", ["server", "result"]),
    seconds: new Histogram({
      name: "mcp_authz_relayed_call_seconds",
      help: "Time of a relayed call until its answer ended",
      labelNames: ["server"],
      buckets: SECONDS,
      registers,
    }),
  };
}

/** Gauges that are set at each scrape. */
function gaugesOf(registry: Registry) {
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  const state = gauge("mcp_authz_upstream_state", "1 for the state that a server's list is in", ["server", "state"]);
  const age = gauge("mcp_authz_upstream_age_seconds", "Time since a server was listed", ["server"]);
  const entries = gauge("mcp_authz_upstream_entries", "What a server's list holds", ["server", "kind"]);
  const dropped = gauge("mcp_authz_upstream_dropped", "Entries left out of a server's list", ["server", "reason"]);
  const changed = gauge("mcp_authz_upstream_changed", "Entries of a server's list that are shown changed", [
    "server",
    "reason",
  ]);
  const refused = gauge("mcp_authz_upstream_breaker_open", "1 while a server is not called, or one call tries it", [
    "server",
  ]);
  const unfit = gauge("mcp_authz_upstream_direct_unfit", "1 for what a server's direct route cannot carry", [
    "server",
    "fault",
  ]);
  const info = gauge("mcp_authz_catalog_info", "1 for the revision of the catalogue", ["revision"]);
  const failing = gauge("mcp_authz_wristband_keys_failing", "1 while serve's keys cannot be fetched");
  const held = gauge("mcp_authz_broker_held_bytes", "Bytes of bodies and answers that are held for callers");
  return {
    read({ revision, upstreams, keysFailing, heldBytes }: BrokerReading, states: readonly string[]) {
      for (const each of [state, age, entries, dropped, changed, refused, unfit, info]) each.reset();
      info.set({ revision }, 1);
      failing.set(keysFailing ? 1 : 0);
      held.set(heldBytes);
      for (const upstream of upstreams) {
        const { server } = upstream;
        for (const name of states) state.set({ server, state: name }, name === upstream.state ? 1 : 0);
        for (const fault of upstream.directFaults) unfit.set({ server, fault }, 1);
        refused.set({ server }, upstream.isRefused ? 1 : 0);
        if (upstream.ageSeconds !== null) age.set({ server }, upstream.ageSeconds);
        for (const [kind, count] of Object.entries(upstream.entries)) entries.set({ server, kind }, count);
        for (const [reason, count] of Object.entries(upstream.dropped)) dropped.set({ server, reason }, count);
        for (const [reason, count] of Object.entries(upstream.changed)) changed.set({ server, reason }, count);
      }
    },
  };
}
