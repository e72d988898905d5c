import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { loadConfig } from "../config/load.ts";
import { envoyConfig, envoyConfigYaml } from "./envoy-config.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-printed-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function config(more: object) {
  const file = join(folder, "mcp-authz.yaml");
  const tree = {
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
    servers: { s: { url: "https://s.example.com/mcp", credential: [{ none: {} }] } },
  };
  writeFileSync(file, stringify({ ...tree, ...more }));
  return loadConfig(file, {});
}

/** Defaults of keys that the printed configuration depends on. */
const DEFAULTS = /x-authorized-tools|127\.0\.0\.1|\b(?:9001|9003|8080|8081)\b|envoy-admin\.sock|\b900s/g;

it("what follows from a key follows it: no default is printed where each has another value", () => {
  expect(envoyConfigYaml(config({}).config).match(DEFAULTS)?.length).toBeGreaterThan(6);
  const wristband = { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }], header: "x-mine" };
  const listen = { authz: "127.0.0.2:9101", broker: "127.0.0.2:9103" };
  const places = { listen: "127.0.0.2:9180", opsListen: "127.0.0.2:9181", adminSocket: "other.sock" };
  const envoy = { ...places, maxStreamSeconds: 60 };
  const printed = envoyConfigYaml(config({ wristband, listen, envoy }).config);
  expect(printed.match(DEFAULTS)).toBeNull();
});

it("the wristband's header is taken off requests of clients and responses of the broker, whatever its name", () => {
  const wristband = { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }], header: "x-mine" };
  const printed = JSON.stringify(envoyConfig(config({ wristband }).config));
  expect(printed).toContain('{"remove":"x-mine"}');
  expect(printed).toMatch(/"response_headers_to_remove":\[[^\]]*"x-mine"/);
});

it.each(["authz", "broker"])(
  "a listener %s with TLS that the printed Envoy would speak to without is warned of",
  (name) => {
    const tls = { [name]: { certFile: "own.pem", keyFile: "own.key" } };
    const client = { caFile: "ca.pem", serverName: "gw.example.com" };
    const keys = (more: object) => config(more).warnings.map(({ key }) => key);
    expect(keys({ tls })).toContain(`envoy.tls.${name}`);
    expect(keys({ tls, envoy: { tls: { [name]: client } } })).not.toContain(`envoy.tls.${name}`);
  },
);

it.each([
  ["ops", "wristband.jwksUrl"],
  ["brokerOps", "catalog.url"],
])("a listener %s that wants a client certificate, which we have none of, is warned of", (name, key) => {
  const files = { certFile: "own.pem", keyFile: "own.key" };
  const keys = (more: object) => config({ tls: { [name]: { ...files, ...more } } }).warnings.map((one) => one.key);
  expect(keys({ clientCaFile: "ca.pem" })).toContain(key);
  expect(keys({})).not.toContain(key);
});

it("each worker with a port of its own is an endpoint; one port of all is one", () => {
  const portsOf = (more: object) => {
    const printed = envoyConfigYaml(config(more).config);
    const cluster = /cluster_name: mcp_authz\n\s+endpoints[\s\S]*?health_checks/.exec(printed)?.[0] ?? "";
    return [...cluster.matchAll(/port_value: (\d+)/g)].map(([, port]) => Number(port));
  };
  expect(portsOf({ workers: 3, listen: { authz: "127.0.0.1:9101" } })).toEqual([9101]);
  expect(portsOf({ workers: 3, listen: { authz: "127.0.0.1:9101", workerPorts: "each" } })).toEqual([9101, 9102, 9103]);
  const elsewhere = { authzAddress: "127.0.0.9:19001" };
  const listen = { authz: "127.0.0.1:9101", workerPorts: "each" };
  expect(portsOf({ workers: 2, listen, envoy: elsewhere })).toEqual([19001, 19002]);
});

it.each([
  [{ authz: "unix:/run/authz.sock" }, "listen.authz"],
  [{ authzen: "unix:/run/authzen.sock" }, "listen.authzen"],
  [{ workerPorts: "each", authz: "127.0.0.1:0" }, "listen.workerPorts"],
  [{ workerPorts: "each", authz: "127.0.0.1:65535" }, "listen.workerPorts"],
  [{ workerPorts: "each", authz: "127.0.0.1:9001", ops: "127.0.0.1:9002" }, "listen.workerPorts"],
])("several workers cannot listen on %o", (listen, key) => {
  expect(() => config({ workers: 2, listen })).toThrow(`${key}:`);
  expect(() => config({ workers: 1, listen, authzen: { origin: "https://pdp.example.com" } })).not.toThrow();
});
