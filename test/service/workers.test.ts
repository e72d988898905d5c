// `serve --workers 2`: two threads decide behind one port, and what one remembers the other knows. On the real process, which is asked
// over several connections: the kernel gives each to one of them.
import { spawn, type ChildProcess } from "node:child_process";
import { createHash, generateKeyPairSync, randomUUID } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { calculateJwkThumbprint, type JWK } from "jose";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { jsonLines } from "../../demo/lab-interface.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { checkMessage, codecs, FULL_PROTO } from "../fakes/check-request.ts";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import { findTool } from "../../src/files/program.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const SOON = { timeout: 20_000, interval: 50 };
vi.setConfig({ testTimeout: 60_000 });

/** An author's mistake: it takes as long as an argument is. */
const CUBIC = `package mcp.authz

allow if {
	some a in input.mcp.arguments.list
	some b in input.mcp.arguments.list
	some c in input.mcp.arguments.list
	a != b
	b != c
	contains(c, "-")
}
`;
const LONG = Array.from({ length: 3000 }, (_, i) => `v${i}`);

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-workers-"));
const file = join(folder, "mcp-authz.yaml");
const auditFile = join(folder, "audit.jsonl");
const key = makeKey("idp");
const { request, response } = codecs(FULL_PROTO);
const clients: Client[] = [];
let idp: FakeIssuer;
let ports: Ports;
let child: ChildProcess;
let log = "";
/** With a proof that was taken. */
let replayed: Record<string, string> = {};

const demo = {
  url: "http://127.0.0.1:1/mcp",
  callRouting: "direct",
  credential: [{ static: { file: "secret" } }],
};

function configure(more: object = {}): void {
  const config = {
    publicOrigin: "https://gw.example.com",
    listen: { authz: `127.0.0.1:${ports.authz}`, ops: `127.0.0.1:${ports.ops}` },
    workers: 2,
    checkTimeoutMs: 5000,
    audit: { file: auditFile },
    identity: { issuers: [{ issuer: idp.issuer, audiences: ["a"], algorithms: ["ES256"], dpop: "accepted" }] },
    policy: { path: "policies" },
    limits: { runawaySeconds: 600 },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
    servers: { demo },
    ...more,
  };
  writeFileSync(file, stringify(config));
}

beforeAll(async () => {
  cpSync(join(ROOT, "policies/demo"), join(folder, "policies"), { recursive: true });
  rmSync(join(folder, "policies/.compiled"), { recursive: true, force: true });
  writeFileSync(join(folder, "policies/cubic.rego"), CUBIC);
  [idp, ports] = await Promise.all([startIssuer(key), freePorts()]);
  const pem = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
  writeFileSync(join(folder, "w.pem"), pem, { mode: 0o600 });
  writeFileSync(join(folder, "secret"), "one", { mode: 0o600 });
  configure();
  const args = [join(ROOT, "src/cli/mcp-authz.ts"), "serve", "--config", file];
  child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  child.stderr?.on("data", (data: Buffer) => (log += data.toString()));
  await vi.waitFor(() => expect(events("listening")).toHaveLength(1), { timeout: 30_000, interval: 50 });
}, 60_000);
afterAll(async () => {
  for (const client of clients) client.close();
  child.kill("SIGKILL");
  await idp.close();
  rmSync(folder, { recursive: true, force: true });
});

function events(name: string): Record<string, unknown>[] {
  return jsonLines(log).filter(({ event }) => event === name);
}

/** A connection of its own. */
function connection(): Client {
  const client = new Client(`127.0.0.1:${ports.authz}`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  clients.push(client);
  return client;
}

interface HeaderEntry {
  readonly header: { readonly key: string; readonly value: string };
}
interface Answer {
  readonly ok_response?: { readonly headers: readonly HeaderEntry[] };
  readonly denied_response?: { readonly status: { readonly code: string } };
}

function ask(client: Client, headers: Record<string, string>, args: object = { text: "x" }): Promise<string> {
  const call = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "echo", arguments: args } };
  const accept = "application/json, text/event-stream";
  const parts = { path: "/servers/demo/mcp", headers: { ...headers, accept }, body: JSON.stringify(call) };
  const message = request.encode(checkMessage({ ...parts, form: "list" }));
  const same = (bytes: Buffer) => bytes;
  return new Promise((done) => {
    client.makeUnaryRequest("/envoy.service.auth.v3.Authorization/Check", same, same, message, (error, bytes) => {
      if (error !== null || bytes === undefined) return done(`gRPC ${error?.code}`);
      const { ok_response: ok, denied_response: denied } = response.decode(bytes) as unknown as Answer;
      const given = ok?.headers.find((one) => one.header.key === "authorization")?.header.value;
      done(given ?? denied?.status.code ?? "nothing");
    });
  });
}

function claims(subject: string, more: object = {}) {
  const now = Math.floor(Date.now() / 1000);
  const own = { iss: idp.issuer, aud: "a", client_id: "c", iat: now, exp: now + 600, groups: ["engineering"] };
  return { ...own, sub: subject, jti: randomUUID(), ...more };
}
const header = { alg: "ES256", typ: "at+jwt", kid: "idp" };
const bearer = (subject: string, more: object = {}) => ({
  authorization: `Bearer ${compact(key, header, claims(subject, more))}`,
});

async function ops(path: string) {
  const answer = await fetch(`http://127.0.0.1:${ports.ops}${path}`);
  return { status: answer.status, text: await answer.text() };
}

/** Checks that each worker has answered. */
async function counts(): Promise<number[]> {
  const { text } = await ops("/metrics");
  return [0, 1].map((worker) => Number(new RegExp(`checks_total{worker="${worker}"} (\\d+)`).exec(text)?.[1] ?? 0));
}

async function value(series: string): Promise<number> {
  const { text } = await ops("/metrics");
  const line = text.split("\n").find((one) => one.startsWith(`${series} `));
  return Number(line?.split(" ").at(-1));
}

/** A connection to each worker. */
async function oneOfEach(): Promise<[Client, Client]> {
  const found: (Client | undefined)[] = [undefined, undefined];
  while (found.includes(undefined)) {
    const client = connection();
    const before = await counts();
    await ask(client, {});
    const after = await counts();
    const worker = after.findIndex((count, i) => count > (before[i] ?? 0));
    if (found[worker] === undefined) found[worker] = client;
    else client.close();
  }
  return found as [Client, Client];
}

describe.skipIf(findTool("opa") === null)("several workers", () => {
  it("both decide behind one port, each with its audit line, and one page has the sum", async () => {
    const all = Array.from({ length: 12 }, connection);
    const before = await value('mcp_authz_checks_total{decision="allow",reason=""}');
    expect(new Set(await Promise.all(all.map((one) => ask(one, bearer("alice")))))).toEqual(new Set(["Bearer one"]));
    expect(Math.min(...(await counts()))).toBeGreaterThan(0);
    expect(await value('mcp_authz_checks_total{decision="allow",reason=""}')).toBe(before + 12);
    const lines = jsonLines(readFileSync(auditFile, "utf8"));
    expect(lines.filter(({ subject }) => subject === "alice")).toHaveLength(12);
    const { status, text } = await ops("/readyz");
    expect([status, (JSON.parse(text) as { workers: { ready: boolean }[] }).workers.map(({ ready }) => ready)]).toEqual(
      [200, [true, true]],
    );
    // The second was given the keys that the first has fetched.
    expect(idp.fetches).toBe(1);
  });

  it("D31: a DPoP proof that one has taken is refused by the other", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const jwk = publicKey.export({ format: "jwk" });
    const holder = { kid: "", alg: "ES256", privateKey, jwk };
    const cnf = { jkt: await calculateJwkThumbprint(jwk as JWK, "sha256") };
    const token = compact(key, header, claims("bound", { cnf }));
    const ath = createHash("sha256").update(token).digest("base64url");
    const proof = () =>
      compact(
        holder,
        { typ: "dpop+jwt", alg: "ES256", jwk },
        {
          ...{ jti: randomUUID(), htm: "POST", htu: "https://gw.example.com/servers/demo/mcp", ath },
          iat: Math.floor(Date.now() / 1000),
        },
      );
    const pair = await oneOfEach();
    for (const [first, second] of [pair, pair.toReversed() as [Client, Client]]) {
      const dpop = proof();
      const headers = { authorization: `DPoP ${token}`, dpop };
      expect(await ask(first, headers)).toBe("Bearer one");
      expect(await ask(second, headers)).toBe("Unauthorized");
      replayed = headers;
    }
    const dpop = proof();
    const all = Array.from({ length: 10 }, connection);
    const raced = await Promise.all([...all, ...all].map((one) => ask(one, { authorization: `DPoP ${token}`, dpop })));
    expect(raced.filter((one) => one === "Bearer one")).toHaveLength(1);
  });

  it("F1: a runaway costs one worker; the other serves on, and both refuse its caller", async () => {
    const [first, second] = await oneOfEach();
    const sum = await value('mcp_authz_checks_total{decision="allow",reason=""}');
    const runaway = ask(first, bearer("mallory"), { list: LONG });
    const answers = new Set<string>();
    const over = new AbortController();
    void runaway.then(() => over.abort());
    while (!over.signal.aborted) answers.add(await ask(second, bearer("alice")));
    expect(answers).toEqual(new Set(["Bearer one"]));
    expect(await runaway).toMatch(/^gRPC/);
    await expect.poll(async () => (await ops("/readyz")).status, SOON).toBe(200);
    expect(await ask(second, bearer("mallory"))).toBe("TooManyRequests");
    const [again] = await oneOfEach();
    expect(await ask(again, bearer("mallory"))).toBe("TooManyRequests");
    // D31: nor is a proof new to the successor.
    expect(await ask(again, replayed)).toBe("Unauthorized");
    // What the ended thread had counted is not lost.
    expect(await value('mcp_authz_checks_total{decision="allow",reason=""}')).toBeGreaterThanOrEqual(sum);
    expect(await value("mcp_authz_runaways_total")).toBe(1);
    const line = jsonLines(readFileSync(auditFile, "utf8")).find(({ detail }) => /ran away/.test(String(detail)));
    expect(line).toMatchObject({ subject: "mallory", decision: "fail", reason: "policy_unavailable" });
  });

  it("a change of the files is taken by all or by none", async () => {
    const pair = await oneOfEach();
    const both = () => Promise.all(pair.map((one) => ask(one, bearer("alice"))));
    configure({ servers: { demo: { ...demo, credential: [{ static: { file: "missing" } }] } } });
    await expect.poll(() => events("reload_failed").length, SOON).toBeGreaterThan(0);
    expect(await both()).toEqual(["Bearer one", "Bearer one"]);
    writeFileSync(join(folder, "second"), "two", { mode: 0o600 });
    configure({ servers: { demo: { ...demo, credential: [{ static: { file: "second" } }] } } });
    await expect.poll(both, SOON).toEqual(["Bearer two", "Bearer two"]);
    writeFileSync(join(folder, "second"), "three", { mode: 0o600 });
    child.kill("SIGHUP");
    await expect.poll(both, SOON).toEqual(["Bearer three", "Bearer three"]);
  });

  it("a worker that takes over while the file is broken has the configuration that is in force", async () => {
    const [first, second] = await oneOfEach();
    const before = events("policy_ran_away").length;
    writeFileSync(file, "servers: [");
    expect(await ask(first, bearer("trudy"), { list: LONG })).toMatch(/^gRPC/);
    await expect.poll(() => events("policy_ran_away").length, SOON).toBe(before + 1);
    await expect.poll(async () => (await ops("/readyz")).status, SOON).toBe(200);
    const [again] = await oneOfEach();
    const asked = [again, second].map((one) => ask(one, bearer("alice")));
    expect(await Promise.all(asked)).toEqual(["Bearer three", "Bearer three"]);
    configure({ servers: { demo: { ...demo, credential: [{ static: { file: "second" } }] } } });
  });

  it("a policy that the first has loaded is live at all", async () => {
    const pair = await oneOfEach();
    // A refusal by policy is an answer of MCP: 200.
    const both = () => Promise.all(pair.map((one) => ask(one, bearer("stranger", { groups: [] }))));
    expect(await both()).toEqual(["OK", "OK"]);
    const rule = 'package mcp.authz\n\nallow if input.identity.subject == "stranger"\n';
    writeFileSync(join(folder, "policies/stranger.rego"), rule);
    await expect.poll(both, SOON).toEqual(["Bearer three", "Bearer three"]);
    rmSync(join(folder, "policies/stranger.rego"));
    await expect.poll(both, SOON).toEqual(["OK", "OK"]);
    expect(events("policy_live").map(({ worker }) => worker)).toEqual([0, 0]);
  });

  it("SIGTERM drains both: no call that was begun is lost", async () => {
    const all = Array.from({ length: 12 }, connection);
    await Promise.all(all.map((one) => ask(one, bearer("alice"))));
    const last = all.map((one) => ask(one, bearer("alice")));
    child.kill("SIGTERM");
    const code = await new Promise((done) => child.once("exit", done));
    expect(new Set(await Promise.all(last))).toEqual(new Set(["Bearer three"]));
    expect(code).toBe(0);
  });
});
