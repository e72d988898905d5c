import { expect, it } from "vitest";
import { createBrokerMetrics, type BrokerReading } from "./broker.ts";
import { NO_TRACES } from "./traces.ts";

const make = () =>
  createBrokerMetrics({
    servers: ["a", "b"],
    methods: ["tools/list"],
    states: ["healthy", "unhealthy"],
    wristbandResults: ["ok", "time"],
  });
const upstream = {
  server: "a",
  state: "unhealthy",
  ageSeconds: 40,
  entries: { tools: 2 },
  dropped: { name: 1 },
  changed: { text_cut: 3 },
  directFaults: ["older_only"],
  isRefused: false,
};
const reading: BrokerReading = {
  revision: "r1",
  upstreams: [upstream],
  keysFailing: true,
  configStale: false,
  traces: NO_TRACES,
  heldBytes: 7,
};

async function lines(metrics = make(), read = reading): Promise<string[]> {
  return (await metrics.render(read)).split("\n").filter((line) => line.startsWith("mcp_authz_"));
}

it("shows the state of each upstream, what it lists and what was left out", async () => {
  expect(await lines()).toEqual(
    expect.arrayContaining([
      'mcp_authz_upstream_state{server="a",state="healthy"} 0',
      'mcp_authz_upstream_state{server="a",state="unhealthy"} 1',
      'mcp_authz_upstream_age_seconds{server="a"} 40',
      'mcp_authz_upstream_entries{server="a",kind="tools"} 2',
      'mcp_authz_upstream_dropped{server="a",reason="name"} 1',
      'mcp_authz_upstream_changed{server="a",reason="text_cut"} 3',
      'mcp_authz_catalog_info{revision="r1"} 1',
      "mcp_authz_wristband_keys_failing 1",
      'mcp_authz_wristband_verifications_total{result="ok"} 0',
      'mcp_authz_upstream_listings_total{server="b",result="failed"} 0',
    ]),
  );
});

it("what is gone is gone from the next reading", async () => {
  const metrics = make();
  await lines(metrics);
  const after = await lines(metrics, {
    revision: "r2",
    keysFailing: false,
    configStale: false,
    traces: NO_TRACES,
    heldBytes: 0,
    upstreams: [{ ...upstream, ageSeconds: null, dropped: {}, changed: {} }],
  });
  expect(after.filter((line) => /r1|dropped\{|age_seconds\{|failing 1/.test(line))).toEqual([]);
});

it("D21: nobody can grow the labels from outside", async () => {
  const metrics = make();
  for (let i = 0; i < 50; i += 1) {
    metrics.observeRequest(`method-${i}`, null);
    metrics.calls.observe(`server-${i}`, "answered", 0.1);
    metrics.calls.dropped(`server-${i}`, 1);
    metrics.wristband(`word-${i}` as "time");
  }
  metrics.observeRequest(null, "wristband_invalid");
  metrics.observeRequest("tools/list", "params_invalid");
  metrics.calls.observe("a", "upstream_timeout", 30);
  metrics.wristband("time");
  const all = await lines(metrics);
  expect(all).toEqual(
    expect.arrayContaining([
      'mcp_authz_broker_requests_total{method="other",outcome="ok"} 50',
      'mcp_authz_broker_requests_total{method="other",outcome="wristband_invalid"} 1',
      'mcp_authz_broker_requests_total{method="tools/list",outcome="params_invalid"} 1',
      'mcp_authz_relayed_calls_total{server="other",outcome="answered"} 50',
      'mcp_authz_relayed_calls_total{server="a",outcome="upstream_timeout"} 1',
      'mcp_authz_relayed_call_seconds_count{server="a"} 1',
      'mcp_authz_relay_dropped_events_total{server="other"} 50',
      'mcp_authz_wristband_verifications_total{result="other"} 50',
      'mcp_authz_wristband_verifications_total{result="time"} 1',
    ]),
  );
  expect(all.join("\n")).not.toMatch(/(?:method|server|word)-/);
});

it("tells how the process itself is", async () => {
  expect(await make().render(reading)).toMatch(/process_resident_memory_bytes|nodejs_heap/);
});
