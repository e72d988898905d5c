// Every shape of the printed configuration is one that the real Envoy accepts.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { requireTool } from "../../src/files/program.ts";
import { loadConfig } from "../../src/config/load.ts";
import { writeXdsFolder } from "../../src/cli/xds-folder.ts";
import { envoyConfig, envoyConfigYaml } from "../../src/envoy-config/envoy-config.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-validate-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => {
  mkdirSync(join(folder, "run"));
  writeFileSync(join(folder, "pat"), "x", { mode: 0o600 });
  const subject = ["-subj", "/CN=gw", "-addext", "subjectAltName=DNS:gw", "-days", "2"];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  execFileSync("openssl", ["req", "-x509", ...key, "-keyout", "key.pem", "-out", "cert.pem", ...subject], {
    cwd: folder,
    stdio: "ignore",
  });
});

const server = (more: object = {}) => ({
  url: "http://127.0.0.1:9100/mcp",
  callRouting: "direct",
  credential: [{ none: {} }],
  ...more,
});
const base = {
  publicOrigin: "https://gw.example.com",
  identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
  policy: { path: "policies" },
  wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "w.pem" }] },
  servers: { demo: server() },
};
const pair = { certFile: "cert.pem", keyFile: "key.pem" };
const client = { ...pair, caFile: "cert.pem", serverName: "mcp-authz" };

function load(more: object) {
  const file = join(folder, "mcp-authz.yaml");
  writeFileSync(file, stringify({ ...base, ...more }));
  return loadConfig(file, {}).config;
}

it.each<[string, object]>([
  ["the smallest", {}],
  ["sockets", { listen: { authz: "unix:run/authz.sock", broker: "unix:run/broker.sock" } }],
  [
    "TLS everywhere",
    {
      envoy: { tls: { listen: pair, authz: client, broker: client } },
      tls: { authz: { ...pair, clientCaFile: "cert.pem", clientSans: ["gw"] } },
    },
  ],
  [
    "other addresses, by name",
    {
      envoy: {
        listen: "0.0.0.0:8443",
        authzAddress: "mcp-authz.internal:9001",
        brokerAddress: "broker.internal:9003",
        trustedHops: 1,
        maxStreamSeconds: 60,
      },
    },
  ],
  ["the smallest limits", { envoy: { heapMiB: 64, maxConnections: 16 }, limits: { bodyBytes: 1024 } }],
  ["the largest limits", { envoy: { heapMiB: 65_536, maxConnections: 100_000 }, limits: { bodyBytes: 1024 * 1024 } }],
  ["times whose sum has no short fraction", { checkTimeoutMs: 330, servers: { demo: server({ timeoutMs: 1 }) } }],
  ["IPv6", { envoy: { listen: "[::1]:8080" }, listen: { authz: "[::1]:9001" } }],
  ["a route header and more hosts", { routeHeader: "x-mcp-route", hosts: ["alias.example.com", "localhost"] }],
  [
    "many servers: https with a CA, with a port, by address, with another credential header",
    {
      servers: {
        demo: server(),
        github: server({
          url: "https://mcp.github.example.com/mcp",
          caFile: "cert.pem",
          credential: [{ static: { file: "pat", header: "x-api-key", scheme: "" } }],
        }),
        other: server({ url: "https://192.0.2.9:8443/a/b", caFile: "cert.pem", allowQuery: true }),
        root: server({ url: "https://root.example.com/", caFile: "cert.pem" }),
      },
    },
  ],
])("%s", (_, more) => {
  const file = join(folder, "envoy.yaml");
  writeFileSync(file, envoyConfigYaml(load(more)));
  const run = spawnSync(requireTool("envoy"), ["--mode", "validate", "-c", file, "--log-level", "error"], {
    encoding: "utf8",
    cwd: folder,
  });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
});

it("is the same text each time, and never lets an error through", () => {
  const config = load({});
  expect(envoyConfigYaml(config)).toBe(envoyConfigYaml(config));
  const text = JSON.stringify(envoyConfig(config));
  expect(text).toContain('"failure_mode_allow":false');
  expect(text).toContain('"allow_partial_message":false');
  expect(text).not.toContain("upgrade_configs");
});

it("F4: heap, connections and bodies are bounded by their keys", () => {
  const text = JSON.stringify(
    envoyConfig(load({ envoy: { heapMiB: 64, maxConnections: 100 }, limits: { bodyBytes: 4096 } })),
  );
  expect(text).toContain(`"max_heap_size_bytes":${64 * 1024 * 1024}`);
  expect(text).toContain('"max_active_downstream_connections":100');
  expect(text.match(/"max_request_bytes":4096/g)).toHaveLength(2); // body_size_limit, and what the Check gets
  expect(text).not.toContain("1048576");
});

it("F7: a direct server has limits per caller and ends what hangs; broker routes keep their streams", () => {
  const text = JSON.stringify(
    envoyConfig(load({ servers: { demo: server({ timeoutMs: 7000 }) }, limits: { callsPerCaller: 5 } })),
  );
  // Idle connections of other workers must not take the place of calls.
  expect(text.match(/"max_requests":5,"max_pending_requests":5,"max_connections":4294967295/g)).toHaveLength(16);
  expect(text.match(/"idle_timeout":"7s"/g)).toHaveLength(1);
  expect(text.match(/"idle_timeout":"900s"/g)).toHaveLength(2); // /mcp, and the broker's part of /servers/demo/mcp
});

it("K05: Envoy has as many connections to the broker as that takes, not its own 1024 for all callers", () => {
  const { static_resources: resources } = envoyConfig(load({})) as { static_resources: { clusters: object[] } };
  expect(resources.clusters).toContainEqual(
    expect.objectContaining({
      name: "mcp_broker",
      circuit_breakers: { thresholds: [{ max_connections: 16_384, max_pending_requests: 4096, max_requests: 16_384 }] },
    }),
  );
});

it("C17, C04: upstream TLS is always verified, by CA and name", () => {
  const config = load({ servers: { github: server({ url: "https://mcp.github.example.com/mcp" }) } });
  const { static_resources: resources } = envoyConfig(config) as { static_resources: { clusters: { name: string }[] } };
  const cluster = JSON.stringify(resources.clusters.find(({ name }) => name.startsWith("server_github")));
  expect(cluster).toContain('"trusted_ca":{"filename":"/etc/ssl/certs/ca-certificates.crt"}');
  expect(cluster).toContain('"san_type":"DNS","matcher":{"exact":"mcp.github.example.com"}');
  expect(readFileSync(join(folder, "cert.pem"), "utf8")).toContain("BEGIN CERTIFICATE");
});

it("the bootstrap of watched files is one that Envoy takes, with every file beside it", async () => {
  const out = join(folder, "xds");
  await writeXdsFolder(load({}), out);
  const args = ["--mode", "validate", "-c", join(out, "envoy.json"), "--reject-unknown-dynamic-fields"];
  const run = spawnSync(requireTool("envoy"), [...args, "--log-level", "error"], { encoding: "utf8", cwd: folder });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
});
