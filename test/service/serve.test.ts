// `serve` as its thread is wired, but for the thread: keys, their rotation, and the catalogue.
import { generateKeyPairSync } from "node:crypto";
import { existsSync, readdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { startServe, type Serve } from "../../src/app/serve/serve.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createLog } from "../../src/ops/log.ts";
import type { FromThread, Handover } from "../../src/ops/supervisor/messages.ts";
import type { LoadedPolicy } from "../../src/policy/load.ts";
import { checkMessage, codecs, FULL_PROTO } from "../fakes/check-request.ts";
import { makeCa, makeLeaf } from "../fakes/certificates.ts";
import { firstHandover } from "../fakes/handover.ts";
import { noOpa } from "../fakes/opa.ts";
import { makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import { startFakeServer, type FakeServer } from "../fakes/mcp-server.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-serve-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, "mcp-authz.yaml");

let idp: FakeIssuer;
let broker: FakeServer;
let ports: Ports;
let serve: Serve | undefined;
let log: string[];
let told: FromThread<LoadedPolicy>[];

beforeEach(async () => {
  idp = await startIssuer(makeKey("idp"));
  broker = await startFakeServer((_, response) => void response.writeHead(503).end());
  ports = await freePorts();
  log = [];
  for (const kid of ["k1", "k2"]) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    writeFileSync(join(folder, `${kid}.pem`), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  }
});
afterEach(async () => {
  await serve?.stop();
  serve = undefined;
  await Promise.all([idp.close(), broker.close()]);
});

function configure(kids: readonly string[], more: object = {}): void {
  const text = stringify({
    publicOrigin: "https://gw.example.com",
    listen: { authz: "127.0.0.1:0", ops: `127.0.0.1:${ports.ops}` },
    drainMs: 10,
    audit: { file: "audit.jsonl" },
    identity: { issuers: [{ issuer: idp.issuer, audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: resolve(import.meta.dirname, "../../policies/demo") },
    wristband: { issuer: "https://gw.example.com", keys: kids.map((kid) => ({ kid, file: `${kid}.pem` })) },
    catalog: { url: `${broker.origin}/catalog` },
    servers: { demo: { url: "http://127.0.0.1:1/mcp", callRouting: "direct", credential: [{ none: {} }] } },
    ...more,
  });
  writeFileSync(file, text);
}

async function start(handover: Partial<Handover<LoadedPolicy>> = {}): Promise<void> {
  told = [];
  const reread = () => loadConfig(file, {}).config;
  serve = await startServe({
    config: reread(),
    reread,
    log: createLog((line) => log.push(line), "info", Date.now),
    findOpa: noOpa,
    handover: firstHandover(handover),
    tell: (message) => told.push(message),
  });
}

async function ops(path: string) {
  const response = await fetch(`http://127.0.0.1:${ports.ops}${path}`);
  return { status: response.status, text: await response.text() };
}

async function kids(): Promise<string[]> {
  const { text } = await ops("/.well-known/jwks.json");
  return (JSON.parse(text) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
}

it("4.8: its keys are published before the issuer's are here: the broker waits for nobody else", async () => {
  configure(["k1"]);
  let release: () => void = () => {};
  idp.respond = (response) => (release = () => response.end("{}"));
  const starting = start();
  const published = () =>
    ops("/.well-known/jwks.json").then(
      ({ status }) => status,
      () => 0,
    );
  await expect.poll(published, { timeout: 15_000 }).toBe(200);
  expect([await kids(), (await ops("/readyz")).status]).toEqual([["k1"], 503]);
  release();
  await starting;
});

it("the policy that is live is kept, and a folder that cannot be written costs a line of the log and no more", async () => {
  const path = resolve(import.meta.dirname, "../../policies/demo");
  const kept = join(folder, "kept");
  configure(["k1"], { policy: { path, revisions: "kept" } });
  await start();
  const live = told.flatMap((one) => (one.type === "policy" ? [`${one.revision}.tar.gz`] : []));
  await expect.poll(() => existsSync(kept) && readdirSync(kept)).toEqual(live);
  await serve?.stop();
  configure(["k1"], { policy: { path, revisions: "mcp-authz.yaml" } });
  await start();
  await expect.poll(() => log.join("")).toMatch(/"policy_revision_not_kept".*"code":"E/);
  expect((await ops("/readyz")).status).toBe(200);
});

it("keys of an issuer that are handed over belong to the place where they were fetched", async () => {
  const at = (jwksUri: string) => ({
    identity: { issuers: [{ issuer: idp.issuer, audiences: ["a"], algorithms: ["ES256"], jwksUri }] },
  });
  configure(["k1"], at(`${idp.issuer}/jwks`));
  await start();
  const kept = told.flatMap((one) => (one.type === "document" && one.name.startsWith("keys ") ? [one] : []));
  expect(kept).toHaveLength(1);
  const documents = Object.fromEntries(kept.map(({ name, bytes, tag }) => [name, { bytes: bytes!, tag, ageMs: 0 }]));
  const fetchesOf = async (jwksUri: string) => {
    await serve?.stop();
    configure(["k1"], at(jwksUri));
    const before = idp.fetches;
    await start({ documents });
    return idp.fetches - before;
  };
  expect(await fetchesOf(`${idp.issuer}/jwks`)).toBe(0);
  expect(await fetchesOf(`${idp.issuer.replace("127.0.0.1", "localhost")}/jwks`)).toBe(1);
});

it("revocations that are in force at the start hold up nothing", async () => {
  writeFileSync(join(folder, "revoked.jsonl"), `${JSON.stringify({ iss: idp.issuer, sub: "alice", before: 2e9 })}\n`);
  const issuer = { issuer: idp.issuer, audiences: ["a"], algorithms: ["ES256"] };
  configure(["k1"], { identity: { issuers: [issuer], revocationFile: "revoked.jsonl" } });
  await start();
  expect((await ops("/readyz")).status).toBe(200);
});

describe("F06: SIGHUP rotates the wristband's keys", () => {
  it("by the configuration: published before they sign, gone when they are taken out", async () => {
    configure(["k1"]);
    await start();
    expect(await kids()).toEqual(["k1"]);
    for (const listed of [["k1", "k2"], ["k2", "k1"], ["k2"]]) {
      configure(listed);
      await serve?.reload();
      expect(await kids()).toEqual(listed);
    }
    expect(
      log.filter((line) => line.includes('"reloaded"')).map((line) => (JSON.parse(line) as { kids: string }).kids),
    ).toEqual(["k1 k2", "k2 k1", "k2"]);
    expect((await ops("/.well-known/jwks.json")).text).not.toContain('"d"');
  });

  it("what cannot be read leaves the keys that are there", async () => {
    configure(["k1"]);
    await start();
    writeFileSync(join(folder, "broken.pem"), "no key");
    for (const broken of [["k1", "missing"], ["broken"], ["k1", "k1"]]) {
      configure(broken);
      log.length = 0;
      await serve?.reload(); // the rest is read all the same
      const failed = log.map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(failed).toContainEqual(expect.objectContaining({ event: "reload_failed", what: "wristband keys" }));
      expect(await kids()).toEqual(["k1"]);
    }
    expect(await kids()).toEqual(["k1"]);
  });

  it("a configuration that cannot be read keeps no audit file from being rotated", async () => {
    configure(["k1"]);
    await start();
    const audit = join(folder, "audit.jsonl");
    for (const [broken, says] of [
      [() => configure([]), "wristband.keys"],
      [() => configure(["k1"], { nonsense: true }), "nonsense"],
      [() => writeFileSync(file, "publicOrigin: [half"), "mcp-authz.yaml"],
    ] as const) {
      broken();
      rmSync(audit, { force: true });
      log.length = 0;
      await serve?.reload();
      expect(existsSync(audit)).toBe(true);
      expect(log[0]).toContain(says);
      expect(log[0]).toContain("reload_failed");
      expect(await kids()).toEqual(["k1"]);
    }
  });

  it("other changes wait for a restart, and that is said", async () => {
    configure(["k1"]);
    await start();
    configure(["k2"], { checkTimeoutMs: 700, hosts: ["other.example.com"] });
    await serve?.reload();
    const warned = log.find((line) => line.includes("restart_needed"));
    expect(warned).toContain("checkTimeoutMs");
    expect(warned).not.toMatch(/wristband|hosts/);
  });
});

describe("SIGHUP applies the servers", () => {
  const { request, response } = codecs(FULL_PROTO);
  const demo = { url: "http://127.0.0.1:1/mcp", credential: [{ none: {} }] };

  /** The HTTP status of a Check without a token: 401 where there is an endpoint, 404 where there is none. */
  async function statusOf(path: string): Promise<number> {
    const client = new Client(`127.0.0.1:${serve?.authzPort}`, credentials.createInsecure());
    const message = request.encode(checkMessage({ path, host: "gw.example.com" }));
    const same = (bytes: Buffer) => bytes;
    const bytes = await new Promise<Buffer>((done, fail) => {
      client.makeUnaryRequest("/envoy.service.auth.v3.Authorization/Check", same, same, message, (error, value) =>
        error === null && value !== undefined ? done(value) : fail(error ?? new Error("nothing")),
      );
    });
    client.close();
    const { denied_response: denied } = response.decode(bytes) as { denied_response: { status: { code: string } } };
    return { Unauthorized: 401, NotFound: 404 }[denied.status.code] ?? 0;
  }
  const statuses = async () => [await statusOf("/servers/demo/mcp"), await statusOf("/servers/other/mcp")];

  it("a new one is there at once, and one that was taken out is unknown", async () => {
    configure(["k1"], { servers: { demo } });
    await start();
    expect(await statuses()).toEqual([401, 404]);
    configure(["k1"], { servers: { demo, other: demo } });
    await serve?.reload();
    expect(await statuses()).toEqual([401, 401]);
    configure(["k1"], { servers: { other: demo } });
    await serve?.reload();
    expect(await statuses()).toEqual([404, 401]);
    expect(log.join("\n")).not.toContain("restart_needed");
  });

  it("a configuration at fault leaves those that are there", async () => {
    configure(["k1"], { servers: { demo } });
    await start();
    const secret = [{ static: { file: "missing" } }];
    for (const servers of [{}, { other: { ...demo, url: "ftp://x" } }, { other: { ...demo, credential: secret } }]) {
      configure(["k1"], { servers });
      await serve?.reload();
      expect(await statuses()).toEqual([401, 404]);
    }
    const failed = log.filter((line) => line.includes("reload_failed"));
    expect(failed.filter((line) => line.includes('"issuers and servers"')).length).toBeGreaterThan(0);
  });

  it("the catalogue is read anew for them", async () => {
    const names = { tools: ["echo"], prompts: [], resources: [] };
    broker.respond = ({ headers }, answer) => {
      const isKnown = headers["if-none-match"] === '"1"';
      answer.writeHead(isKnown ? 304 : 200, { etag: '"1"' });
      answer.end(isKnown ? "" : JSON.stringify({ servers: { demo: names, other: names } }));
    };
    configure(["k1"], { servers: { demo } });
    await start();
    const tools = async () =>
      (JSON.parse((await ops("/readyz")).text) as { catalog: { names: { tools: number } } }).catalog.names.tools;
    expect(await tools()).toBe(1);
    configure(["k1"], { servers: { demo, other: demo } });
    await serve?.reload();
    expect(await tools()).toBe(2);
  });
});

describe("F1: a thread that takes over", () => {
  const names = { servers: { demo: { tools: ["echo"], prompts: [], resources: [] } } };

  /** What the first thread told, as the supervisor keeps it. */
  function kept(): Partial<Handover<LoadedPolicy>> {
    const policy = told.findLast((message) => message.type === "policy")?.policy ?? null;
    const documents = told.flatMap((message) =>
      message.type === "document" && message.bytes !== null ? [message] : [],
    );
    return {
      ...{ policy, restarts: 1, runaways: 1 },
      documents: Object.fromEntries(
        documents.map(({ name, bytes, tag }) => [name, { bytes: bytes!, tag, ageMs: 9000 }]),
      ),
    };
  }

  it("has policy, keys and catalogue of the one before, and asks nobody before it serves", async () => {
    configure(["k1"]);
    broker.respond = (_, response) => void response.writeHead(200, { etag: '"1"' }).end(JSON.stringify(names));
    await start();
    await serve?.stop();
    idp.respond = () => {}; // both are there, and say nothing any more
    broker.respond = () => {};
    configure(["k1"], { policy: { path: folder } }); // no policy there
    await start(kept());
    const ready = await ops("/readyz");
    expect([ready.status, JSON.parse(ready.text)]).toMatchObject([
      200,
      { policy: { quarantined: false }, issuers: [{ keys: 1 }], catalog: { ageSeconds: 9, names: { tools: 1 } } },
    ]);
    expect(told.filter(({ type }) => type === "policy")).toEqual([]);
    expect((await ops("/metrics")).text).toMatch(/^mcp_authz_runaways_total 1$/m);
  });

  it("is not ready while its policy is quarantined, until an operator sends SIGHUP", async () => {
    configure(["k1"]);
    await start();
    await serve?.stop();
    const before = kept();
    const caller = { issuer: idp.issuer, subject: "mallory", forMs: 60_000 };
    await start({ ...before, quarantined: before.policy?.artifact.revision ?? "?", suspended: [caller] });
    const shown = async () => {
      const { text } = await ops("/metrics");
      const ready = await ops("/readyz");
      const { policy } = JSON.parse(ready.text) as { policy: { quarantined: boolean } };
      return [ready.status, policy.quarantined, /^mcp_authz_policy_quarantined (.*)$/m.exec(text)?.[1]];
    };
    expect(await shown()).toEqual([503, true, "1"]);
    expect((await ops("/metrics")).text).toMatch(/^mcp_authz_callers_suspended 1$/m);
    serve?.suspend({ ...caller, subject: "eve" });
    expect((await ops("/metrics")).text).toMatch(/^mcp_authz_callers_suspended 2$/m);
    await serve?.reload();
    expect(await shown()).toEqual([200, false, "0"]);
  });

  it("is ready while only its rules of the host's other paths are quarantined, which it tells", async () => {
    configure(["k1"]);
    await start();
    await serve?.stop();
    const before = kept();
    await start({ ...before, hostQuarantined: before.policy?.artifact.revision ?? "?" });
    const ready = await ops("/readyz");
    expect([ready.status, JSON.parse(ready.text)]).toMatchObject([
      200,
      { ready: true, policy: { quarantined: false, hostQuarantined: true } },
    ]);
    expect((await ops("/metrics")).text).toMatch(/^mcp_authz_policy_quarantined 1$/m);
  });
});

it("the catalogue over TLS: by its own CA, and by no other", async () => {
  const ca = makeCa(folder, "ca");
  makeCa(folder, "other");
  const { cert, key } = makeLeaf(folder, { name: "broker", san: "IP:127.0.0.1", ca });
  const served = createServer({ cert, key }, (_, response) =>
    response.setHeader("etag", '"r1"').end('{"servers":{"demo":{"tools":["echo"],"prompts":[],"resources":[]}}}'),
  );
  await new Promise<void>((done) => served.listen(0, "127.0.0.1", done));
  const address = served.address();
  const url = `https://127.0.0.1:${typeof address === "object" ? address?.port : 0}/catalog`;
  const shown = async () => JSON.parse((await ops("/readyz")).text) as unknown;
  try {
    configure(["k1"], { catalog: { url, caFile: "other.pem" } });
    await start();
    expect(await shown()).toMatchObject({
      catalog: { error: expect.stringMatching(/CERT|SIGNATURE|ISSUER/) as string },
    });
    await serve?.stop();
    configure(["k1"], { catalog: { url, caFile: "ca.pem" } });
    await start();
    expect(await shown()).toMatchObject({ catalog: { error: null, names: { tools: 1 } } });
  } finally {
    await serve?.stop();
    serve = undefined;
    await new Promise((done) => served.close(done));
  }
});

it("P15: the first audit line is whole, also where the process before left half a line", async () => {
  configure(["k1"]);
  const audit = join(folder, "audit.jsonl");
  writeFileSync(audit, '{"time":"torn');
  await start();
  const client = new Client(`127.0.0.1:${serve?.authzPort}`, credentials.createInsecure());
  await new Promise<void>((done, fail) => {
    const message = Buffer.alloc(0); // refused, like each that says nothing
    const same = (bytes: Buffer) => bytes;
    client.makeUnaryRequest("/envoy.service.auth.v3.Authorization/Check", same, same, message, (error) =>
      error === null ? done() : fail(error),
    );
  });
  client.close();
  await expect.poll(() => readFileSync(audit, "utf8").split("\n")[1]).toMatch(/^\{"time":"[^"]+",.*\}$/);
});

it("drainDelayMs: after SIGTERM it says that it is not ready, and decides until the time is over", async () => {
  configure(["k1"], { drainDelayMs: 3000 });
  await start();
  let isOver = false;
  const stopping = serve?.stop().then(() => (isOver = true));
  serve = { ...serve!, stop: async () => void (await stopping) };
  expect((await ops("/readyz")).status).toBe(503);
  const client = new Client(`127.0.0.1:${serve.authzPort}`, credentials.createInsecure());
  const same = (bytes: Buffer) => bytes;
  const asked = async (method: string, message: Buffer) =>
    new Promise<Buffer>((done, fail) => {
      client.makeUnaryRequest(method, same, same, message, (error, value) =>
        error === null && value !== undefined ? done(value) : fail(error ?? new Error("nothing")),
      );
    });
  const health = await asked("/grpc.health.v1.Health/Check", Buffer.alloc(0));
  expect([...health]).toEqual([8, 2]); // NOT_SERVING
  expect((await asked("/envoy.service.auth.v3.Authorization/Check", Buffer.alloc(0))).length).toBeGreaterThan(0);
  expect(isOver).toBe(false);
  client.close();
  await stopping;
});

describe("the catalogue", () => {
  const names = { servers: { demo: { tools: ["echo", "whoami"], prompts: [], resources: ["docs://a"] } } };

  it("is asked for at the start with a catalogue token, and shown in metrics and /readyz", async () => {
    configure(["k1"]);
    broker.respond = (_, response) => void response.writeHead(200, { etag: '"1"' }).end(JSON.stringify(names));
    await start();
    const [, payload = ""] = (broker.requests[0]?.headers.authorization ?? "").split(".");
    expect(JSON.parse(Buffer.from(payload, "base64url").toString())).toMatchObject({ aud: "mcp-broker/catalog" });
    const { text } = await ops("/metrics");
    for (const line of ['mcp_authz_catalog_names{kind="tools"} 2', "mcp_authz_catalog_age_seconds 0"])
      expect(text).toContain(line);
    expect(JSON.parse((await ops("/readyz")).text)).toMatchObject({
      catalog: { error: null, names: { tools: 2, prompts: 0, resources: 1 } },
    });
  });

  it("without it serve is ready all the same, and says what is wrong", async () => {
    configure(["k1"]);
    await start();
    const ready = await ops("/readyz");
    expect([ready.status, JSON.parse(ready.text)]).toMatchObject([
      200,
      { catalog: { ageSeconds: null, error: "status_503" } },
    ]);
    expect((await ops("/metrics")).text).not.toMatch(/^mcp_authz_catalog_age_seconds/m);
    expect(log.filter((line) => line.includes("catalog_awaited"))).toHaveLength(1);
  });
});
