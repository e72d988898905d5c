// Each rule on a broken copy of what envoy-config prints; the printed one is clean, in every form in which Envoy shows it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { loadConfig, type Config } from "../../src/config/load.ts";
import { envoyConfig } from "../../src/envoy-config/envoy-config.ts";
import { UnreadableDump } from "../../src/envoy-config/lint/dump.ts";
import { DUMP_FORMS, listenerOf, managerOf } from "../fakes/envoy-dump.ts";
import { lintEnvoy } from "../../src/envoy-config/lint/lint.ts";
import { lintText } from "../../src/envoy-config/lint/render.ts";
import { SEEDS } from "../fakes/envoy-faults.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-lint-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pair = { certFile: "cert.pem", keyFile: "key.pem" };
const client = (serverName: string) => ({ ...pair, caFile: "ca.pem", serverName });
const BASE = {
  publicOrigin: "https://gw.example.com",
  identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
  policy: { path: "policies" },
  wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "w.pem" }] },
  envoy: {
    listen: "0.0.0.0:8443",
    authzAddress: "authz.internal:9001",
    brokerAddress: "broker.internal:9003",
    tls: { listen: pair, authz: client("authz.internal"), broker: client("broker.internal") },
  },
  sessions: { keys: [{ id: "1", file: "s.key" }] },
  servers: {
    demo: { url: "http://127.0.0.1:9100/mcp", callRouting: "direct", credential: [{ none: {} }] },
    github: { url: "https://mcp.github.example.com/mcp", callRouting: "direct", credential: [{ none: {} }] },
    tickets: { url: "https://tickets.example.com/mcp", credential: [{ none: {} }] },
  },
};

function load(more: object = {}): Config {
  const file = join(folder, "mcp-authz.yaml");
  writeFileSync(file, stringify({ ...BASE, ...more }));
  return loadConfig(file, {}).config;
}

const CONFIG = load();
const printed = () => structuredClone(envoyConfig(CONFIG)) as Record<string, unknown>;

describe.each(Object.entries(DUMP_FORMS))("%s", (_, shown) => {
  it.each<[string, Config | null]>([
    ["with the configuration", CONFIG],
    ["without it", null],
  ])("what is printed is clean %s", (_, config) => {
    const report = lintEnvoy(shown(printed()), config);
    expect(report.findings).toEqual([]);
    expect(report.routes).toBeGreaterThan(4);
    expect(lintText(report)).toMatch(/^ok: /);
  });

  it.each(SEEDS)("$name", ({ seed, rule, place, only }) => {
    const root = printed();
    seed(root);
    for (const config of only === "config" ? [CONFIG] : [CONFIG, null]) {
      const { findings } = lintEnvoy(shown(root), config);
      expect(findings.map((one) => one.rule)).toContain(rule);
      // Nothing else is said: a list of faults that are none hides the one that is.
      expect([...new Set(findings.map((one) => one.rule))]).toEqual([rule]);
      for (const one of findings) {
        expect(one.message).toMatch(/\.$/);
        expect(one.fix).toMatch(/\.$|\)$/);
        expect(one.place).toMatchObject(place);
      }
    }
  });
});

it("the page names each rule", () => {
  const page = readFileSync("docs/lint-envoy.md", "utf8");
  for (const { rule } of SEEDS) expect(page).toContain(`\`${rule}\``);
});

it("forty seeded faults at the least", () =>
  expect(new Set(SEEDS.map(({ name }) => name)).size).toBeGreaterThanOrEqual(40));

it.each<[string, object]>([
  ["a route header", { routeHeader: "x-mcp-route" }],
  ["another header of the wristband", { wristband: { ...BASE.wristband, header: "x-mine" } }],
  ["a proxy before it", { envoy: { ...BASE.envoy, trustedHops: 2 } }],
  ["sockets", { envoy: {}, listen: { authz: "unix:run/authz.sock", broker: "unix:run/broker.sock" } }],
  ["the smallest limits", { limits: { bodyBytes: 1024 }, checkTimeoutMs: 100 }],
  ["the largest limits", { limits: { bodyBytes: 1024 * 1024, keepAliveSeconds: 300 }, checkTimeoutMs: 10_000 }],
  ["no sessions", { sessions: null }],
  [
    "a server without encryption that is allowed",
    { allowHttp: ["far.example.com"], servers: { far: { ...BASE.servers.demo, url: "http://far.example.com/mcp" } } },
  ],
])("no false alarm: %s", (_, more) => {
  const config = load(more);
  for (const shown of Object.values(DUMP_FORMS))
    expect(lintEnvoy(shown(envoyConfig(config) as Record<string, unknown>), config).findings).toEqual([]);
});

it.each<[string, unknown]>([
  ["nothing", undefined],
  ["null", null],
  ["a list", []],
  ["a text", "configs"],
  ["another object", { a: 1 }],
  ["no sections", { configs: [] }],
  ["a dump of clusters alone", { configs: [{ "@type": "x/envoy.admin.v3.ClustersConfigDump", static_clusters: [] }] }],
  ["camel case", { staticResources: {} }],
  ["a mask without listeners", { configs: [{ "@type": "x/envoy.admin.v3.BootstrapConfigDump", bootstrap: {} }] }],
])("unreadable: %s", (_, root) => expect(() => lintEnvoy(root, null)).toThrow(UnreadableDump));

it.each<[string, unknown]>([
  ["listeners that are none", { static_resources: { listeners: [null, 1, "x", [], {}] } }],
  [
    "filters that are none",
    { static_resources: { listeners: [{ filter_chains: [{ filters: [{ typed_config: 1 }] }] }] } },
  ],
])("a report about nothing is none: %s", (_, root) =>
  expect(lintEnvoy(root, CONFIG).findings.map(({ rule }) => rule)).toEqual(["no-mcp-route"]),
);

it("names of the dump move no cursor", () => {
  const root = printed();
  Object.assign(managerOf(root), { normalize_path: false });
  listenerOf(root)["name"] = "pub\u001B[2J";
  const text = lintText(lintEnvoy(root, null));
  expect(text).toContain("normalize-path");
  expect(text).not.toContain("\u001b");
});
