// The configuration of a running serve, mounted as kubelet mounts a ConfigMap and a Secret: each change is taken without a signal,
// and no Check is dropped.
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeEach, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { createConfigSource } from "../../src/app/config-source.ts";
import { startServe, type Serve } from "../../src/app/serve/serve.ts";
import { createLog } from "../../src/ops/log.ts";
import type { ConfigState } from "../../src/ops/reload.ts";
import { findOpa } from "../../src/policy/opa.ts";
import { checkMessage, codecs, FULL_PROTO } from "../fakes/check-request.ts";
import { firstHandover } from "../fakes/handover.ts";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";

// Each change takes one to two seconds.
vi.setConfig({ testTimeout: 60_000 });
const SOON = { timeout: 15_000, interval: 50 };
const key = makeKey("idp");
const ROOT = mkdtempSync(join(tmpdir(), "mcp-authz-mounted-"));
afterAll(() => rmSync(ROOT, { recursive: true, force: true }));

/** A volume: names lead through `..data` to a folder of this version, and `..data` is renamed into place. */
function createVolume(folder: string) {
  let version = 0;
  mkdirSync(folder, { recursive: true });
  return (files: Record<string, string>) => {
    const data = `..2026_${(version += 1)}`;
    mkdirSync(join(folder, data));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, data, name), text, { mode: 0o600 });
    symlinkSync(data, join(folder, "..data_tmp"));
    renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
    for (const name of Object.keys(files)) if (version === 1) symlinkSync(join("..data", name), join(folder, name));
    if (version > 1) rmSync(join(folder, `..2026_${version - 1}`), { recursive: true, force: true });
  };
}

let folder: string;
let idp: FakeIssuer;
let ports: Ports;
let serve: Serve;
let log: string[];
let mountConfig: ReturnType<typeof createVolume>;
let mountSecret: ReturnType<typeof createVolume>;

beforeEach(async () => {
  folder = mkdtempSync(join(ROOT, "run-"));
  idp = await startIssuer(key);
  ports = await freePorts();
  log = [];
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "w.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  mountConfig = createVolume(join(folder, "config"));
  mountSecret = createVolume(join(folder, "secret"));
});
afterEach(async () => {
  await serve.stop();
  await idp.close();
});

const demo = {
  url: "http://127.0.0.1:1/mcp",
  callRouting: "direct",
  credential: [{ static: { file: join("..", "secret", "token") } }],
};

function configText(more: object = {}): Record<string, string> {
  const config = {
    publicOrigin: "https://gw.example.com",
    listen: { authz: "127.0.0.1:0", ops: `127.0.0.1:${ports.ops}` },
    drainMs: 10,
    audit: { file: join(folder, "audit.jsonl") },
    identity: { issuers: [{ issuer: idp.issuer, audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: resolve(import.meta.dirname, "../../policies/demo") },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: join(folder, "w.pem") }] },
    servers: { demo },
    ...more,
  };
  return { "mcp-authz.yaml": stringify(config) };
}

async function start(): Promise<void> {
  const source = createConfigSource(join(folder, "config", "mcp-authz.yaml"), {});
  serve = await startServe({
    config: source.read(),
    reread: source.read,
    source,
    log: createLog((line) => log.push(line), "info", Date.now),
    findOpa,
    handover: firstHandover({}),
    tell: () => {},
  });
}

const { request, response } = codecs(FULL_PROTO);
const BODY = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "echo", arguments: {} } });

function token(of: FakeIssuer = idp): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: of.issuer, aud: "a", sub: "alice", client_id: "c", jti: "1", iat: now, exp: now + 600 };
  return compact(key, { alg: "ES256", typ: "at+jwt", kid: "idp" }, { ...claims, groups: ["engineering"] });
}

interface HeaderEntry {
  readonly header: { readonly key: string; readonly value: string };
}

interface Answer {
  readonly ok_response?: { readonly headers: readonly HeaderEntry[] };
  readonly denied_response?: { readonly status: { readonly code: string }; readonly headers: readonly HeaderEntry[] };
}

async function asked(client: Client, message: Buffer): Promise<Answer> {
  const same = (bytes: Buffer) => bytes;
  const bytes = await new Promise<Buffer>((done, fail) => {
    client.makeUnaryRequest("/envoy.service.auth.v3.Authorization/Check", same, same, message, (error, value) =>
      error === null && value !== undefined ? done(value) : fail(error ?? new Error("nothing")),
    );
  });
  return response.decode(bytes) as unknown as Answer;
}

/** The challenge of a Check without a token. */
async function challengeOf(client: Client): Promise<string> {
  const message = request.encode(checkMessage({ path: "/servers/demo/mcp", body: BODY, form: "list" }));
  const { denied_response: denied } = await asked(client, message);
  return denied?.headers.find(({ header }) => header.key === "www-authenticate")?.header.value ?? "";
}

/** One Check with a token. @returns the credential that the server gets, or the HTTP status of the refusal */
async function check(client: Client, bearer: string, server = "demo"): Promise<string> {
  const headers = { authorization: `Bearer ${bearer}`, accept: "application/json, text/event-stream" };
  const message = request.encode(checkMessage({ path: `/servers/${server}/mcp`, headers, body: BODY, form: "list" }));
  const { ok_response: ok, denied_response: denied } = await asked(client, message);
  const set = ok?.headers.find(({ header }) => header.key === "authorization")?.header;
  return set?.value ?? denied?.status.code ?? "nothing";
}

async function state(): Promise<ConfigState & { status: number; stale_metric: string }> {
  const at = `http://127.0.0.1:${ports.ops}`;
  const ready = await fetch(`${at}/readyz`);
  const { config } = (await ready.json()) as { config: ConfigState };
  const metrics = await (await fetch(`${at}/metrics`)).text();
  const stale = /^mcp_authz_config_stale (\d)/m.exec(metrics)?.[1] ?? "?";
  return { ...config, status: ready.status, stale_metric: stale };
}

it("a static secret and the servers are taken from what is mounted, and no Check is dropped meanwhile", async () => {
  mountSecret({ token: "one-c4n4ry" });
  mountConfig(configText());
  await start();
  const client = new Client(`127.0.0.1:${serve.authzPort}`, credentials.createInsecure());
  const bearer = token();
  expect(await check(client, bearer)).toBe("Bearer one-c4n4ry");

  const seen = new Set<string>();
  const until = new AbortController();
  const callers = Array.from({ length: 4 }, async () => {
    while (!until.signal.aborted) seen.add(await check(client, bearer));
  });
  mountSecret({ token: "two-c4n4ry" });
  await expect.poll(() => check(client, bearer), SOON).toBe("Bearer two-c4n4ry");
  mountConfig(configText({ servers: { demo, tickets: { ...demo } } }));
  await expect.poll(() => check(client, bearer, "tickets"), SOON).toBe("Bearer two-c4n4ry");
  mountConfig(configText());
  await expect.poll(() => check(client, bearer, "tickets"), SOON).toBe("NotFound");
  until.abort();
  await Promise.all(callers);
  expect([...seen].toSorted()).toEqual(["Bearer one-c4n4ry", "Bearer two-c4n4ry"]);
  expect(await state()).toEqual({ stale: null, restartNeeded: [], status: 200, stale_metric: "0" });
  expect(log.join("\n")).not.toContain("c4n4ry");
  client.close();
});

it("one at fault is refused: what was in force stays, log, metric and /readyz say so, and it heals by itself", async () => {
  mountSecret({ token: "one" });
  mountConfig(configText());
  await start();
  const client = new Client(`127.0.0.1:${serve.authzPort}`, credentials.createInsecure());
  const bearer = token();
  const later = { static: { file: join(folder, "later") } };
  for (const [text, says] of [
    [{ "mcp-authz.yaml": "servers: [half" }, "is not YAML"],
    [configText({ servers: { demo: { ...demo, url: "ftp://x" } } }), "servers.demo.url"],
    [configText({ servers: { demo: { ...demo, credential: [later] } } }), "later"],
  ] as const) {
    mountConfig(text);
    await expect.poll(async () => (await state()).stale, SOON).toContain(says);
    expect(await state()).toMatchObject({ status: 200, stale_metric: "1" });
    expect(await check(client, bearer)).toBe("Bearer one");
  }
  // The file that the last one named was missing.
  writeFileSync(join(folder, "later"), "later-c4n4ry");
  await expect.poll(() => check(client, bearer), SOON).toBe("Bearer later-c4n4ry");
  expect(await state()).toMatchObject({ stale: null, stale_metric: "0" });
  rmSync(join(folder, "later"));
  await expect.poll(async () => (await state()).stale, SOON).toContain("later");
  expect(await check(client, bearer)).toBe("Bearer later-c4n4ry");
  writeFileSync(join(folder, "later"), "again-c4n4ry");
  await expect.poll(() => check(client, bearer), SOON).toBe("Bearer again-c4n4ry");
  expect(log.filter((line) => line.includes("reload_failed")).length).toBeGreaterThan(0);
  expect(log.join("\n")).not.toContain("c4n4ry");
  client.close();
});

it("issuers and what a challenge asks for: another takes over while Checks go on, and the one that is taken out is no more", async () => {
  const other = await startIssuer(key);
  const issuer = ({ issuer: name }: FakeIssuer) => ({ issuer: name, audiences: ["a"], algorithms: ["ES256"] });
  mountSecret({ token: "one" });
  mountConfig(configText());
  await start();
  const client = new Client(`127.0.0.1:${serve.authzPort}`, credentials.createInsecure());
  const [old, young] = [token(), token(other)];
  expect([await check(client, old), await check(client, young)]).toEqual(["Bearer one", "Unauthorized"]);
  const fetches = idp.fetches;
  const seen = new Set<string>();
  const until = new AbortController();
  const callers = Array.from({ length: 3 }, async () => {
    while (!until.signal.aborted) seen.add(await check(client, old));
  });
  mountConfig(configText({ identity: { issuers: [issuer(idp), issuer(other)] } }));
  await expect.poll(() => check(client, young), SOON).toBe("Bearer one");
  until.abort();
  await Promise.all(callers);
  expect([...seen]).toEqual(["Bearer one"]);
  // Its keys were here already.
  expect(idp.fetches).toBe(fetches);
  const challenge = { scopes: ["mcp:tools"] };
  mountConfig(configText({ identity: { issuers: [issuer(other)] }, challenge }));
  await expect.poll(() => check(client, old), SOON).toBe("Unauthorized");
  expect(await check(client, young)).toBe("Bearer one");
  await expect.poll(() => challengeOf(client), SOON).toContain('scope="mcp:tools"');
  expect(await state()).toMatchObject({ stale: null, restartNeeded: [], status: 200 });
  client.close();
  await other.close();
});

it("watchFiles: false leaves it to SIGHUP", async () => {
  mountSecret({ token: "one" });
  mountConfig(configText({ watchFiles: false }));
  await start();
  const client = new Client(`127.0.0.1:${serve.authzPort}`, credentials.createInsecure());
  const bearer = token();
  mountSecret({ token: "two" });
  const until = performance.now() + 3500;
  while (performance.now() < until) expect(await check(client, bearer)).toBe("Bearer one");
  await serve.reload();
  expect(await check(client, bearer)).toBe("Bearer two");
  client.close();
});
