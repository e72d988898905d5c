// The broker as a process offers what the configuration says: curated lists, servers that are required or disabled.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, it } from "vitest";
import { stringify } from "yaml";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { startBroker, type RunningBroker } from "../../src/app/broker/broker.ts";
import { signCatalogToken } from "../../src/catalog/token.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createLog } from "../../src/ops/log.ts";
import { makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import { tool } from "../fakes/listing.ts";
import { modernServer, startFakeServer, type FakeServer } from "../fakes/mcp-server.ts";
import { WRISTBAND, READER } from "../fakes/wristband.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-broker-curation-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const key = makeKey("k1");
const LISTS = {
  tools: [tool("read"), tool("delete_repo"), tool("later")],
  prompts: [{ name: "summary" }, { name: "other" }],
  resources: [
    { uri: "docs://a", name: "a" },
    { uri: "file:///a", name: "b" },
  ],
};

let serve: FakeIssuer;
let good: FakeServer;
let other: FakeServer;
let ports: Ports;
let broker: RunningBroker | undefined;
beforeEach(async () => {
  serve = await startIssuer(key);
  good = await startFakeServer(modernServer(LISTS));
  other = await startFakeServer(modernServer({ tools: [tool("z")] }));
  ports = await freePorts();
});
afterEach(async () => {
  await broker?.stop();
  broker = undefined;
  await Promise.all([serve.close(), good.close(), other.close()]);
});

async function start(servers: { good?: object; other?: object }): Promise<void> {
  const file = join(folder, "mcp-authz.yaml");
  const server = (url: string, more: object = {}) => ({ url, credential: [{ none: {} }], ...more });
  const text = stringify({
    publicOrigin: "https://gw.example.com",
    listen: { broker: `127.0.0.1:${ports.broker}`, brokerOps: `127.0.0.1:${ports.brokerOps}` },
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { ...WRISTBAND, keys: [{ kid: "k1", file: "w.pem" }], jwksUrl: `${serve.issuer}/jwks` },
    servers: { good: server(good.url, servers.good), other: server(other.url, servers.other) },
  });
  writeFileSync(file, text);
  broker = await startBroker(
    loadConfig(file, {}).config,
    createLog(() => {}, "info", Date.now),
  );
}

async function ops(path: string) {
  const token = signCatalogToken(
    { ...WRISTBAND, ...READER },
    { kid: "k1", privateKey: key.privateKey, jwk: {} },
    Date.now(),
  );
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`http://127.0.0.1:${ports.brokerOps}${path}`, { headers });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

const NOTHING = { tools: [], prompts: [], resources: [] };

it("TB-03: the catalogue holds what is offered, and readyz says which names are not", async () => {
  const filters = {
    tools: { deny: ["delete_*"] },
    prompts: { allow: ["summary"] },
    resources: { allow: ["docs://*"] },
  };
  await start({ good: filters });
  expect((await ops("/catalog")).json).toEqual({
    servers: {
      good: { tools: ["later", "read"], prompts: ["summary"], resources: ["docs://a"] },
      other: { ...NOTHING, tools: ["z"] },
    },
  });
  expect((await ops("/readyz")).json["upstreams"]).toMatchObject([
    { dropped: { not_offered: { count: 3, names: ["delete_repo", "other", "file:///a"] } } },
    { dropped: {} },
  ]);
});

it("CL-06, P7.3-3: with newTools: deny, a tool that appears stays hidden until it is named", async () => {
  await start({ good: { newTools: "deny", tools: { allow: ["read", "*"] } } });
  expect((await ops("/catalog")).json).toMatchObject({ servers: { good: { tools: ["read"] } } });
});

it("TB-05: a disabled server is not listed, and not asked", async () => {
  await start({ other: { disabled: true } });
  expect(Object.keys((await ops("/catalog")).json["servers"] as object)).toEqual(["good"]);
  expect(other.requests).toEqual([]);
  const reply = await fetch(`http://127.0.0.1:${ports.broker}/servers/other/mcp`, { method: "POST", body: "{}" });
  expect(reply.status).toBe(404);
});

it("TB-05: the broker is not ready until a required server was listed once", async () => {
  const { respond } = other;
  other.respond = (_, response) => void response.writeHead(500).end();
  await start({ other: { required: true } });
  expect(await ops("/readyz")).toMatchObject({ status: 503, json: { ready: false } });
  other.respond = respond;
  await expect.poll(async () => (await ops("/readyz")).status, { timeout: 10_000, interval: 100 }).toBe(200);
  other.respond = (_, response) => void response.writeHead(500).end();
  expect((await ops("/readyz")).status).toBe(200);
});

it("CL-07: an alias whose tool is not there is told, and so is a tool whose name is taken by one", async () => {
  await start({ good: { callRouting: "broker", aliases: { read: "later", gone: "fetch" } } });
  expect((await ops("/catalog")).json).toMatchObject({ servers: { good: { tools: ["delete_repo", "read"] } } });
  expect((await ops("/readyz")).json["upstreams"]).toMatchObject([
    { dropped: { alias_unused: { count: 1, names: ["gone"] }, alias_taken: { count: 1, names: ["later"] } } },
    {},
  ]);
});
