// What the Grafana dashboard shows, a row after the other. To add a panel, add a line here and print the dashboard anew.

export interface Query {
  readonly expr: string;
  /** As Grafana's: `{{label}}`. */
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  readonly about: string;
  /** Grafana's name of the unit. */
  readonly unit: "reqps" | "percentunit" | "s" | "short";
  readonly kind: "timeseries" | "stat" | "table";
  readonly queries: readonly Query[];
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const RATE = "[$__rate_interval]";
const graph = (title: string, about: string, unit: Panel["unit"], ...queries: Query[]): Panel => ({
  title,
  about,
  unit,
  kind: "timeseries",
  queries,
});
const stat = (title: string, about: string, expr: string): Panel => ({
  title,
  about,
  unit: "short",
  kind: "stat",
  queries: [{ expr, legend: "" }],
});
const quantile = (q: number, metric: string, by: string): Query => ({
  expr: `histogram_quantile(${q}, sum by (le, ${by}) (rate(${metric}_bucket${RATE})))`,
  legend: `{{${by}}} p${q * 100}`,
});

export const ROWS: readonly Row[] = [
  {
    title: "Decisions",
    panels: [
      graph("Checks", "Per second, by decision", "reqps", {
        expr: `sum by (decision) (rate(mcp_authz_checks_total${RATE}))`,
        legend: "{{decision}}",
      }),
      graph("Refusals by reason", "docs/refusals.md says what each means", "reqps", {
        expr: `sum by (reason) (rate(mcp_authz_checks_total{decision=~"deny|fail"}${RATE})) > 0`,
        legend: "{{reason}}",
      }),
      graph("Undecided", "The share of checks that were refused because nobody could decide", "percentunit", {
        expr: `sum(rate(mcp_authz_checks_total{decision="fail"}${RATE})) / sum(rate(mcp_authz_checks_total${RATE}))`,
        legend: "undecided",
      }),
    ],
  },
  {
    title: "Time",
    panels: [
      graph(
        "Time of a check",
        "By decision",
        "s",
        ...[0.5, 0.95, 0.99].map((q) => quantile(q, "mcp_authz_check_seconds", "decision")),
      ),
      graph(
        "Time of a step",
        "99th percentile: which part is slow",
        "s",
        quantile(0.99, "mcp_authz_step_seconds", "step"),
      ),
      graph("Cache hits", "Share per cache", "percentunit", {
        expr: `sum by (cache) (rate(mcp_authz_cache_requests_total{result="hit"}${RATE})) / sum by (cache) (rate(mcp_authz_cache_requests_total${RATE}))`,
        legend: "{{cache}}",
      }),
    ],
  },
  {
    title: "Policy and revocation",
    panels: [
      {
        title: "Live policy",
        about: "Replicas per revision; two for long means that one of them did not take the change",
        unit: "short",
        kind: "table",
        queries: [{ expr: "count by (revision) (mcp_authz_policy_info)", legend: "{{revision}}" }],
      },
      stat(
        "Stale policy",
        "Replicas whose policy files are broken and which keep the last good one",
        "sum(mcp_authz_policy_stale)",
      ),
      graph("Policy reloads", "Per hour", "short", {
        expr: "sum by (result) (increase(mcp_authz_policy_reloads_total[1h]))",
        legend: "{{result}}",
      }),
      stat("Revocations", "In force", "max(mcp_authz_revocations)"),
      stat(
        "Stale revocations",
        "Replicas that cannot read their revocation file, and refuse every token",
        "sum(mcp_authz_revocations_stale)",
      ),
      graph("Revocation reloads", "Per hour", "short", {
        expr: "sum by (result) (increase(mcp_authz_revocation_reloads_total[1h]))",
        legend: "{{result}}",
      }),
    ],
  },
  {
    title: "What serve depends on",
    panels: [
      graph("Key fetches", "Of issuers, per hour", "short", {
        expr: "sum by (issuer, result) (increase(mcp_authz_key_fetches_total[1h]))",
        legend: "{{issuer}} {{result}}",
      }),
      graph("Unavailable", "Refusals by what could not be had", "reqps", {
        expr: `sum by (reason) (rate(mcp_authz_checks_total{reason=~".+_unavailable"}${RATE}))`,
        legend: "{{reason}}",
      }),
      graph(
        "Credential step",
        "Static ones take no time; Vault and exchanges show here",
        "s",
        ...[0.5, 0.99].map((q) => ({
          expr: `histogram_quantile(${q}, sum by (le) (rate(mcp_authz_step_seconds_bucket{step="credential"}${RATE})))`,
          legend: `p${q * 100}`,
        })),
      ),
      graph(
        "Vault",
        "Look-ups and log-ins per hour",
        "short",
        { expr: "sum by (outcome) (increase(mcp_authz_vault_reads_total[1h]))", legend: "read {{outcome}}" },
        { expr: "sum by (result) (increase(mcp_authz_vault_logins_total[1h]))", legend: "log-in {{result}}" },
      ),
      stat(
        "Vault log-in",
        "Replicas whose last log-in at the Vault failed",
        "count(mcp_authz_vault_last_login_ok == 0)",
      ),
      graph("Token exchange", "Asked of the token endpoint, per hour", "short", {
        expr: "sum by (outcome) (increase(mcp_authz_exchanges_total[1h]))",
        legend: "{{outcome}}",
      }),
      stat(
        "Age of the catalogue",
        "Seconds since the broker confirmed it, oldest",
        "max(mcp_authz_catalog_age_seconds)",
      ),
      graph("Token exchanges", "Per hour", "short", {
        expr: "sum by (outcome) (increase(mcp_authz_exchanges_total[1h]))",
        legend: "{{outcome}}",
      }),
      stat("Audit failures", "Records that could not be written", "sum(mcp_authz_audit_failures)"),
      stat("Quarantined policies", "Replicas that do not evaluate their policy", "sum(mcp_authz_policy_quarantined)"),
      stat("Runaway evaluations", "Each ended the serving thread", "sum(mcp_authz_runaways_total)"),
      stat(
        "Suspended callers",
        "Refused for a while, because policy ran away for them",
        "sum(mcp_authz_callers_suspended)",
      ),
      stat("Restarts", "Of the serving thread: a policy that ran away, or a crash", "sum(mcp_authz_restarts)"),
      graph("Envoy's view", "What ext_authz made of the answers; error: serve was not reached", "reqps", {
        expr: `sum(rate(envoy_http_ext_authz_error${RATE}))`,
        legend: "error",
      }),
    ],
  },
  {
    title: "The broker and its servers",
    panels: [
      graph("Relayed calls", "By server and how they ended", "reqps", {
        expr: `sum by (server, outcome) (rate(mcp_authz_relayed_calls_total${RATE}))`,
        legend: "{{server}} {{outcome}}",
      }),
      graph(
        "Time of a relayed call",
        "Until the answer ended, the server's own time included",
        "s",
        ...[0.5, 0.99].map((q) => quantile(q, "mcp_authz_relayed_call_seconds", "server")),
      ),
      graph("Lists and handshakes", "Answered by the broker itself", "reqps", {
        expr: `sum by (method, outcome) (rate(mcp_authz_broker_requests_total${RATE}))`,
        legend: "{{method}} {{outcome}}",
      }),
      {
        title: "Servers",
        about: "The state that each server's list is in",
        unit: "short",
        kind: "table",
        queries: [{ expr: "max by (server, state) (mcp_authz_upstream_state) > 0", legend: "{{server}} {{state}}" }],
      },
      graph("Left out of lists", "Entries that no call could name, by reason", "short", {
        expr: "max by (server, reason) (mcp_authz_upstream_dropped) > 0",
        legend: "{{server}} {{reason}}",
      }),
      graph("Wristbands refused", "Who reaches the broker without the gateway shows here", "reqps", {
        expr: `sum by (result) (rate(mcp_authz_wristband_verifications_total{result!="ok"}${RATE}))`,
        legend: "{{result}}",
      }),
      {
        title: "What the lists are made from",
        about: "Names per server and kind at the broker, and per kind at serve: they differ for a second at most",
        unit: "short",
        kind: "table",
        queries: [
          { expr: "max by (server, kind) (mcp_authz_upstream_entries)", legend: "{{server}} {{kind}}" },
          { expr: "max by (kind) (mcp_authz_catalog_names)", legend: "serve {{kind}}" },
          { expr: "count by (revision) (mcp_authz_catalog_info)", legend: "{{revision}}" },
        ],
      },
      graph(
        "Listing servers",
        "Attempts per hour, and the age of the last list that came",
        "short",
        {
          expr: "sum by (server, result) (increase(mcp_authz_upstream_listings_total[1h]))",
          legend: "{{server}} {{result}}",
        },
        { expr: "max by (server) (mcp_authz_upstream_age_seconds)", legend: "{{server}} age in seconds" },
      ),
      graph(
        "Cleaned and dropped",
        "Entries whose text lost something, and events of a stream that were for nobody: servers that try something",
        "short",
        { expr: "max by (server) (mcp_authz_upstream_cleaned) > 0", legend: "{{server}} entries" },
        {
          expr: "sum by (server) (increase(mcp_authz_relay_dropped_events_total[1h])) > 0",
          legend: "{{server}} events",
        },
        {
          expr: "sum by (server) (increase(mcp_authz_relay_thinned_events_total[1h])) > 0",
          legend: "{{server}} events beyond the limit",
        },
      ),
      graph(
        "Servers that are too large",
        "Lists of all servers that had no room for all names of a server, and servers whose part of the catalogue serve cannot take",
        "short",
        {
          expr: "sum by (server) (increase(mcp_authz_lists_left_out_total[1h])) > 0",
          legend: "{{server}}",
        },
        { expr: "max(mcp_authz_catalog_servers_left_out)", legend: "not taken" },
      ),
      graph("Held for callers", "Bytes of bodies and answers on their way or not read yet", "short", {
        expr: "sum(mcp_authz_broker_held_bytes)",
        legend: "bytes",
      }),
      stat(
        "Keys of serve",
        "Brokers that cannot fetch the keys of wristbands",
        "sum(mcp_authz_wristband_keys_failing)",
      ),
    ],
  },
];
