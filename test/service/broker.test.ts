// The broker as a process is wired: its operator listener, and its start while others are away.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/ajv";
import { ListToolsResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { startBroker, type RunningBroker } from "../../src/app/broker/broker.ts";
import type { BrokerStatus } from "../../src/catalog/status.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createLog } from "../../src/ops/log.ts";
import { signCatalogToken } from "../../src/catalog/token.ts";
import { listedNames } from "../../src/wristband/compact-names.ts";
import { createSigner } from "../../src/wristband/sign.ts";
import { tool } from "../fakes/listing.ts";
import { createRandom, oddDefinition } from "../fakes/odd-definitions.ts";
import { WRISTBAND, READER } from "../fakes/wristband.ts";
import { ALICE } from "../fakes/authz.ts";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import { modernServer, sessionServer, startFakeServer, type FakeServer } from "../fakes/mcp-server.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-broker-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const key = makeKey("k1");
const signing = { kid: "k1", privateKey: key.privateKey, jwk: {} };
const LISTS = {
  tools: [tool("b"), tool("a"), tool("дelete")],
  prompts: [{ name: "p" }],
  resources: [{ uri: "docs://a", name: "a" }],
};

let serve: FakeIssuer;
let good: FakeServer;
let other: FakeServer;
let ports: Ports;
let broker: RunningBroker | undefined;
let log: string[];

beforeEach(async () => {
  serve = await startIssuer(key);
  good = await startFakeServer(modernServer(LISTS));
  other = await startFakeServer(sessionServer({ tools: [tool("z")] }));
  ports = await freePorts();
  log = [];
});
afterEach(async () => {
  await broker?.stop();
  broker = undefined;
  await Promise.all([serve.close(), good.close(), other.close()]);
});

async function start(): Promise<void> {
  const file = join(folder, "mcp-authz.yaml");
  const server = (url: string) => ({ url, callRouting: "direct", credential: [{ none: {} }], timeoutMs: 20_000 });
  const text = stringify({
    publicOrigin: "https://gw.example.com",
    listen: { broker: `127.0.0.1:${ports.broker}`, brokerOps: `127.0.0.1:${ports.brokerOps}` },
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { ...WRISTBAND, keys: [{ kid: "k1", file: "w.pem" }], jwksUrl: `${serve.issuer}/jwks` },
    servers: { good: server(good.url), other: server(other.url) },
  });
  writeFileSync(file, text);
  broker = await startBroker(
    loadConfig(file, {}).config,
    createLog((line) => log.push(line), "info", Date.now),
  );
}

async function ops(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(`http://127.0.0.1:${ports.brokerOps}${path}`, { headers });
  const text = await response.text();
  return { status: response.status, text, etag: response.headers.get("etag") };
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const catalogToken = () => signCatalogToken({ ...WRISTBAND, ...READER }, signing, Date.now());

function wristband(tools: Record<string, string[]>): string {
  const sign = createSigner({ ...WRISTBAND, ttlSeconds: 300, keys: () => [signing], now: Date.now });
  const step = sign(
    { ...ALICE, expiresAt: Math.floor(Date.now() / 1000) + 600 },
    { tools, prompts: {}, resources: {} },
    { use: "list", merged: false },
  );
  return step.ok ? step.value.jws : "";
}

async function listed(path: string, jws: string) {
  const response = await fetch(`http://127.0.0.1:${ports.broker}${path}`, {
    method: "POST",
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
    headers: { "content-type": "application/json", "x-authorized-tools": jws },
  });
  const { result } = (await response.json()) as { result?: { tools: { name: string }[] } };
  return { status: response.status, result };
}

async function list(path = "/mcp", jws = wristband({ good: ["a"], other: ["z"] })) {
  const { status, result } = await listed(path, jws);
  return { status, tools: result?.tools.map(({ name }) => name) };
}

it("lists its servers, tells their states and what it left out, and counts", async () => {
  await start();
  expect(await list()).toEqual({ status: 200, tools: ["good_a", "other_z"] });
  const ready = await ops("/readyz");
  expect([ready.status, JSON.parse(ready.text)]).toMatchObject([
    200,
    {
      ready: true,
      keys: null,
      upstreams: [
        {
          server: "good",
          state: "healthy",
          error: null,
          entries: { tools: 2, prompts: 1, resources: 1, templates: 0 },
          dropped: { name: { count: 1, names: ["дelete"] } },
        },
        { server: "other", state: "healthy", error: null, entries: { tools: 1 }, dropped: {} },
      ],
    },
  ]);
  const metrics = await ops("/metrics");
  for (const line of [
    'mcp_authz_upstream_state{server="good",state="healthy"} 1',
    'mcp_authz_upstream_dropped{server="good",reason="name"} 1',
    'mcp_authz_upstream_entries{server="other",kind="tools"} 1',
    'mcp_authz_broker_requests_total{method="tools/list",outcome="ok"} 1',
    'mcp_authz_wristband_verifications_total{result="ok"} 1',
  ])
    expect(metrics.text).toContain(line);
  expect((await ops("/healthz")).text).toBe("ok\n");
  // What is shown is for serve alone; what is not has names for people, and no label.
  expect(ready.text + metrics.text).not.toMatch(/"a"|d:\/\/a/);
  expect(metrics.text).not.toContain("дelete");
});

describe("a wristband in short form", () => {
  const many = Array.from({ length: 300 }, (_, i) => `tool_number_${String(i).padStart(3, "0")}`);
  const packed = (tools: readonly string[]) => {
    const listed = listedNames({ good: { tools, prompts: ["p"], resources: ["docs://a"] } });
    const sign = createSigner({ ...WRISTBAND, ttlSeconds: 300, keys: () => [signing], now: Date.now, listed });
    const who = { ...ALICE, expiresAt: Math.floor(Date.now() / 1000) + 600 };
    const step = sign(who, { tools: { good: tools }, prompts: {}, resources: {} }, { use: "list", merged: true });
    return step.ok ? step.value.jws : "";
  };

  it("shows the names of the list that it refers to; one that is not known heals within a refresh", async () => {
    let names = many;
    good.respond = (request, response) =>
      modernServer({ ...LISTS, tools: names.map((name) => tool(name)) })(request, response);
    await start();
    expect(await list("/mcp", packed(many))).toEqual({ status: 200, tools: many.map((name) => `good_${name}`) });
    expect(await list("/mcp", packed([...many, "unknown"]))).toEqual({ status: 503, tools: undefined });
    names = [...many, "zz_new"];
    const shown = async () => (await list("/mcp", packed(names))).tools?.length;
    await expect.poll(shown, { timeout: 5000 }).toBe(301);
    expect(await list("/mcp", packed(many))).toMatchObject({ status: 200 }); // the last revisions are kept
    expect((await ops("/metrics")).text).toMatch(/verifications_total\{result="catalog"\} [1-9]/);
  });
});

describe("/catalog", () => {
  it("is names only, for a catalogue token of serve", async () => {
    await start();
    const first = await ops("/catalog", bearer(catalogToken()));
    expect([first.status, JSON.parse(first.text)]).toEqual([
      200,
      {
        servers: {
          good: { tools: ["a", "b"], prompts: ["p"], resources: ["docs://a"] },
          other: { tools: ["z"], prompts: [], resources: [] },
        },
      },
    ]);
    const again = await ops("/catalog", { ...bearer(catalogToken()), "if-none-match": first.etag ?? "" });
    expect([again.status, again.text]).toEqual([304, ""]);
  });

  it("A21: is shut for everything else", async () => {
    await start();
    const now = Math.floor(Date.now() / 1000);
    const claims = { ...READER, iss: WRISTBAND.issuer, aud: "mcp-broker/catalog", iat: now, exp: now + 60, jti: "j" };
    const head = { alg: "ES256", typ: "catalog+jwt", kid: "k1" };
    expect((await ops("/catalog", bearer(compact(key, head, claims)))).status).toBe(200);
    const wrong = [
      {},
      bearer(""),
      bearer(wristband({ good: ["a"] })),
      bearer(compact(key, { ...head, typ: "at+jwt" }, claims)),
      bearer(compact(key, { ...head, alg: "none" }, claims)),
      bearer(compact(makeKey("k1"), head, claims)),
      bearer(compact(key, head, { ...claims, aud: "mcp-broker" })),
      bearer(compact(key, head, { ...claims, iat: now - 120, exp: now - 60 })),
      { authorization: `bearer ${catalogToken()}` },
      { "x-authorized-tools": catalogToken() },
    ];
    for (const headers of wrong) {
      const reply = await ops("/catalog", headers as Record<string, string>);
      expect([reply.status, reply.text.includes('"a"')]).toEqual([401, false]);
    }
  });
});

it("B45: a hundred odd definitions of one server, through the broker: the official client reads all lists", async () => {
  const random = createRandom(12);
  const odd = Array.from({ length: 100 }, (_, i) => ({ ...oddDefinition("tools", random), name: `odd${i}` }));
  good.respond = modernServer({ ...LISTS, tools: [...odd, ...LISTS.tools] });
  await start();
  const jws = wristband({ good: ["a", ...odd.map(({ name }) => name)], other: ["z"] });
  await expect.poll(async () => (await list("/mcp", jws)).tools, { timeout: 10_000 }).toContain("good_a");
  const { tools = [] } = await list("/mcp", jws);
  expect(tools).toContain("other_z");
  expect(tools.length).toBeGreaterThan(50);
  const read = ListToolsResultSchema.parse((await listed("/mcp", jws)).result);
  expect(read.tools).toHaveLength(tools.length);
  const validators = new AjvJsonSchemaValidator();
  for (const { outputSchema } of read.tools)
    if (outputSchema !== undefined) validators.getValidator(outputSchema as never);
});

describe("mcp-authz status", () => {
  const status = (...args: string[]) =>
    new Promise<{ code: number; out: string; err: string }>((done) => {
      const main = resolve(import.meta.dirname, "../../src/cli/mcp-authz.ts");
      const all = [main, "status", "--config", join(folder, "mcp-authz.yaml"), ...args];
      execFile(process.execPath, all, (error, out, err) =>
        done({ code: error === null ? 0 : Number(error.code), out, err: err.replace(/^warning: .*\n/gm, "") }),
      );
    });

  it("says how each server is, and what was left out by name; 0 while all are healthy", async () => {
    await start();
    const { code, out } = await status();
    expect(code).toBe(0);
    expect(out).toMatch(/^good +healthy +2 +1 +1 +0 +\d+ s ago +-$/m);
    expect(out).toContain("  left out, name: 1 (дelete)");
    const { upstreams, ready } = JSON.parse((await status("--json")).out) as BrokerStatus;
    expect([ready, upstreams.map(({ server, state }) => `${server} ${state}`)]).toEqual([
      true,
      ["good healthy", "other healthy"],
    ]);
  });

  it("1 while one is not", async () => {
    await other.close();
    await start();
    await expect
      .poll(async () => (await status()).out, { timeout: 10_000 })
      .toMatch(/^other +unhealthy .*ECONNREFUSED$/m);
    expect((await status()).code).toBe(1);
  });

  it("2 when nobody can tell", async () => {
    await start();
    await broker?.stop();
    broker = undefined;
    const url = `http://127.0.0.1:${ports.brokerOps}/status`;
    expect(await status()).toEqual({
      code: 2,
      out: "",
      err: `mcp-authz status: ${url} cannot be reached (ECONNREFUSED)\n`,
    });
    const elsewhere = await status("--url", `${serve.issuer}/jwks`);
    expect([elsewhere.code, elsewhere.err]).toEqual([2, expect.stringContaining("is not the status of a broker")]);
  });
});

it("B45: a server that hangs does not keep the others", async () => {
  other.respond = () => undefined;
  const started = performance.now();
  await start();
  expect(performance.now() - started).toBeLessThan(6000);
  expect(await list()).toEqual({ status: 200, tools: ["good_a"] });
  const { upstreams } = JSON.parse((await ops("/readyz")).text) as { upstreams: { state: string }[] };
  expect(upstreams.map(({ state }) => state)).toEqual(["healthy", "waiting"]);
});

it("a server that is down is said once, in a word that is not its own", async () => {
  await other.close();
  await start();
  await expect.poll(() => other.requests.length + log.length, { timeout: 3000 }).toBeGreaterThan(1);
  const said = log.filter((line) => line.includes("upstream_not_listed"));
  expect(said.map((line) => JSON.parse(line) as object)).toMatchObject([{ server: "other", message: "ECONNREFUSED" }]);
});

it("while its servers are listed for the first time, the catalogue is not there yet", async () => {
  let release: () => void = () => {};
  const gate = new Promise<void>((done) => (release = done));
  const inner = modernServer(LISTS);
  good.respond = (request, response) => {
    void gate.then(() => {
      const result = inner(request, response);
      if (result !== undefined) response.end(JSON.stringify({ jsonrpc: "2.0", id: 1, result }));
    });
  };
  const starting = start();
  const deadline = Date.now() + 5000;
  while (good.requests.length === 0 || serve.fetches === 0) {
    if (Date.now() > deadline) throw new Error("not asked");
    await new Promise((done) => setImmediate(done));
  }
  await expect
    .poll(async () => [(await ops("/readyz")).status, (await ops("/catalog", bearer(catalogToken()))).status])
    .toEqual([503, 503]);
  release();
  await starting;
  expect([(await ops("/readyz")).status, (await ops("/catalog", bearer(catalogToken()))).status]).toEqual([200, 200]);
});

it("without serve's keys it is not ready and believes nobody; with them it is", async () => {
  serve.respond = (response) => response.writeHead(503).end();
  await start();
  expect([(await list()).status, (await ops("/readyz")).status]).toEqual([403, 503]);
  expect((await ops("/metrics")).text).toContain("mcp_authz_wristband_keys_failing 1");
  serve.publish(key);
  await expect.poll(async () => (await ops("/readyz")).status, { timeout: 5000 }).toBe(200);
  expect((await list()).status).toBe(200);
});
