// What Prometheus would see: every registry of ours, each metric used once so that its labels show, and the table of
// docs/operations.md made of them. A new metric with labels gets its line here.
import { createBrokerMetrics } from "../../src/ops/metrics/broker.ts";
import { NO_TRACES } from "../../src/ops/metrics/traces.ts";
import { createMetrics } from "../../src/ops/metrics/serve.ts";

export interface MetricFacts {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly labels: readonly string[];
}

async function texts(): Promise<string[]> {
  const serve = createMetrics();
  serve.observeCheck("allow", null, 0.001);
  serve.observeStep("identify", 0.001);
  serve.cache("token", "hit");
  serve.policyRevision("r");
  serve.keyFetch("https://idp.example.com", true);
  serve.vaultLogin("ok");
  serve.leftOut("demo");
  serve.headerDropped("x-mcp-readonly");
  serve.exchange("ok");
  serve.credentialNeverFound(["servers.demo.credential[0]"]);
  serve.catalog({ ageSeconds: 1, names: { tools: 1 }, leftOut: {} });
  return [await serve.render(), await brokerText()];
}

function brokerText(): Promise<string> {
  const broker = createBrokerMetrics({
    servers: ["demo"],
    methods: ["tools/list"],
    states: ["healthy"],
    wristbandResults: ["ok"],
  });
  broker.observeRequest("tools/list", null);
  broker.calls.observe("demo", "answered", 0.01);
  broker.calls.dropped("demo", 1);
  broker.calls.thinned("demo", 1);
  broker.listed("demo", true);
  const counts = { entries: { tool: 1 }, dropped: { name: 1 }, changed: { text: 1 } };
  const upstreams = [
    { server: "demo", state: "healthy", ageSeconds: 1, ...counts, directFaults: ["needs_session"], isRefused: false },
  ];
  return broker.render({
    revision: "r",
    keysFailing: false,
    heldBytes: 0,
    configStale: false,
    traces: NO_TRACES,
    upstreams,
  });
}

/** Every metric of ours, in the order of the registries; those of the process are Node's usual ones. */
export async function knownMetrics(): Promise<MetricFacts[]> {
  const facts = (await texts()).flatMap((text) =>
    [...text.matchAll(/^# HELP (mcp_authz_\S+) (.*)\n# TYPE \S+ (\S+)$/gm)].map(
      ([, name = "", help = "", type = ""]) => ({
        name,
        type,
        help,
        labels: labelsOf(text, name),
      }),
    ),
  );
  // Both processes have those of the configuration.
  return [...new Map(facts.map((one) => [one.name, one])).values()];
}

function labelsOf(text: string, name: string): string[] {
  const samples = text.matchAll(new RegExp(`^${name}(?:_bucket|_sum|_count)?\\{([^}]*)\\} `, "gm"));
  const names = [...samples].flatMap(([, inner = ""]) =>
    [...inner.matchAll(/([a-zA-Z_]\w*)="/g)].map(([, label = ""]) => label),
  );
  return [...new Set(names)].filter((label) => label !== "le");
}

/** Names as queries use them, with their labels: a histogram has three. */
export function queryNames(metrics: readonly MetricFacts[]): Map<string, Set<string>> {
  return new Map(
    metrics.flatMap(({ name, type, labels }): [string, Set<string>][] =>
      type === "histogram"
        ? [
            [`${name}_bucket`, new Set([...labels, "le"])],
            [`${name}_sum`, new Set(labels)],
            [`${name}_count`, new Set(labels)],
          ]
        : [[name, new Set(labels)]],
    ),
  );
}

/** The table of docs/operations.md. A test compares the page. */
export async function metricsTable(): Promise<string> {
  const rows = (await knownMetrics()).map(({ name, type, labels, help }) => {
    const shown = labels.length === 0 ? "" : labels.map((label) => `\`${label}\``).join(", ");
    return `| \`${name}\` | ${type} | ${shown} | ${help} |`;
  });
  return ["| metric | type | labels | what it says |", "|---|---|---|---|", ...rows].join("\n");
}
