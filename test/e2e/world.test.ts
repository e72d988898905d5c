// The whole demo through the real Envoy: each caller's own credential for each server, and one endpoint for all of them.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { ALICE_PAT, BUDGET_CREDENTIAL, EVERYTHING_CREDENTIAL, type World } from "../../demo/world.ts";
import { legacy, modern, reasonOf, type Reply } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-world-"));
let lab: Lab;
let ports: Ports;
let world: World;
const tokens: Record<string, string> = {};

beforeAll(async () => {
  ports = await freePorts();
  lab = await startLab({ folder, ports, policyFolder: null, world: true, progress: () => {} });
  if (lab.world === null) throw new Error("no world");
  ({ world } = lab);
  for (const person of ["alice", "bob", "carol"]) tokens[person] = await lab.idp.mint(person);
  // serve looks for the catalogue once a second.
  await vi.waitFor(async () => expect(await namesOf("alice", "/mcp", "tools")).toContain("everything_echo"), 20_000);
});
afterAll(async () => {
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

type Send = typeof modern;

const call = (person: string, path: string, name: string, args: object = {}, send: Send = legacy) =>
  send(lab.gateway, "tools/call", { name, arguments: args }, { token: tokens[person] ?? "", path });

const on = (server: string) => `/servers/${server}/mcp`;

async function namesOf(person: string, path: string, kind: "tools" | "prompts" | "resources", send: Send = legacy) {
  const reply = await send(lab.gateway, `${kind}/list`, {}, { token: tokens[person] ?? "", path });
  const result = reply.message?.["result"] as Record<string, { name?: string; uri?: string }[]> | undefined;
  return (result?.[kind] ?? []).map(({ name, uri }) => uri ?? name ?? "").sort();
}

/** The Authorization header that reached one of our servers, out of `whoami`'s answer. */
function received(reply: Reply): string {
  const result = reply.message?.["result"] as { content: { text: string }[] } | undefined;
  const headers = JSON.parse(result?.content[0]?.text ?? "{}") as Record<string, string>;
  return headers["authorization"] ?? "";
}

const claimsOf = (value: string) =>
  JSON.parse(Buffer.from(value.split(".")[1] ?? "", "base64url").toString() || "{}") as Record<string, unknown>;

const lastLine = () =>
  JSON.parse(readFileSync(lab.auditFile, "utf8").trim().split("\n").at(-1) ?? "{}") as Record<string, unknown>;

describe.each([
  ["2025-11-25", legacy],
  ["2026-07-28", modern],
] as const)("a client of %s", (_, send) => {
  it("alice's own credential goes to a server for which OpenBao holds one", async () => {
    const reply = await call("alice", on("demo"), "whoami", {}, send);
    expect(received(reply)).toBe(`Bearer ${ALICE_PAT}`);
    expect(JSON.stringify(lab.demo.arrivals)).not.toContain(tokens["alice"]);
    expect(lastLine()).toMatchObject({ decision: "allow", credential: "vault", subject: "alice", server: "demo" });
  });

  it("without one, an exchanged token of hers for exactly that server arrives", async () => {
    for (const [path, name] of [
      [on("tickets"), "whoami"],
      ["/mcp", "tickets_whoami"],
    ] as const) {
      const value = received(await call("alice", path, name, {}, send)).replace(/^Bearer /, "");
      expect(claimsOf(value)).toMatchObject({ sub: "alice", aud: world.tickets.url, scope: "mcp:read" });
      expect(value).not.toBe(tokens["alice"]);
      expect(lastLine()).toMatchObject({
        decision: "allow",
        credential: "exchange",
        server: "tickets",
        name: "whoami",
      });
    }
    expect(JSON.stringify(world.tickets.arrivals)).not.toContain(tokens["alice"]);
  });

  it("with neither she is told that nobody holds one, and the server sees nothing", async () => {
    for (const server of ["demo", "tickets"]) {
      const before = [lab.demo.arrivals.length, world.tickets.arrivals.length];
      const reply = await call("carol", on(server), "whoami", {}, send);
      expect([reply.status, reasonOf(reply)]).toEqual([403, "credential_missing"]);
      const calls = (list: readonly { body: string }[]) =>
        list.filter(({ body }) => body.includes("tools/call")).length;
      expect([lab.demo.arrivals.slice(before[0]), world.tickets.arrivals.slice(before[1])].map(calls)).toEqual([0, 0]);
    }
  });

  it("one endpoint lists exactly her tools of all servers, and bob's list is empty", async () => {
    expect(await namesOf("alice", "/mcp", "tools", send)).toEqual([
      "budget_get-budget-data",
      "demo_echo",
      "demo_search_docs",
      "demo_transfer",
      "demo_whoami",
      "everything_echo",
      "everything_get-sum",
      "everything_trigger-long-running-operation",
      "tickets_echo",
      "tickets_search_docs",
      "tickets_whoami",
    ]);
    expect(await namesOf("bob", "/mcp", "tools", send)).toEqual([]);
    expect(await namesOf("alice", on("everything"), "prompts", send)).toEqual(["simple-prompt"]);
    expect((await namesOf("alice", on("everything"), "resources", send)).length).toBeGreaterThan(3);
    for (const kind of ["tools", "prompts", "resources"] as const)
      expect(await namesOf("bob", on("everything"), kind, send)).toEqual([]);
  });

  it("servers that others wrote answer, with a session or without, in their own era", async () => {
    const sum = await call("alice", "/mcp", "everything_get-sum", { a: 20, b: 22 }, send);
    expect(sum.text).toContain("42");
    const budget = await call("alice", on("budget"), "get-budget-data", {}, send);
    expect([budget.status, budget.message?.["error"]]).toEqual([200, undefined]);
    const token = tokens["alice"] ?? "";
    for (const path of [on("budget"), "/mcp"]) {
      const tools = await send(lab.gateway, "tools/list", {}, { token, path });
      const uri = /"resourceUri":"(ui:[^"]+)"/.exec(tools.text)?.[1] ?? "";
      const pane = await send(lab.gateway, "resources/read", { uri }, { token, path });
      expect(pane.text, "the pane that the tool opens").toContain("<html");
      expect(pane.text).toContain(JSON.stringify(uri));
    }
    const prompt = await send(
      lab.gateway,
      "prompts/get",
      { name: "simple-prompt" },
      { token: tokens["alice"] ?? "", path: on("everything") },
    );
    expect(prompt.message?.["result"]).toBeDefined();
  });

  it("B37: what she may not use is refused as if it did not exist", async () => {
    const shape = ({ status, text }: Reply) => [status, text.replace(/"requestId":"[^"]*"/, "")];
    const hidden = await call("alice", "/mcp", "everything_get-env", {}, send);
    const unknown = await call("alice", "/mcp", "everything_no-such", {}, send);
    const nobodys = await call("alice", "/mcp", "nobodys_tool", {}, send);
    expect(reasonOf(hidden)).toBe("policy_denied");
    expect([shape(unknown), shape(nobodys)]).toEqual([shape(hidden), shape(hidden)]);
  });
});

it("a long call streams its progress", async () => {
  const response = await fetch(`${lab.gateway}/mcp`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${tokens["alice"] ?? ""}`,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
    },
    body: JSON.stringify({
      jsonrpc: "2.0",
      id: "long",
      method: "tools/call",
      params: {
        name: "everything_trigger-long-running-operation",
        arguments: { duration: 1, steps: 4 },
        _meta: { progressToken: "p" },
      },
    }),
  });
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const times: number[] = [];
  let text = "";
  for await (const chunk of response.body ?? []) {
    times.push(performance.now());
    text += Buffer.from(chunk).toString();
  }
  expect(text.match(/notifications\/progress/g)?.length).toBeGreaterThanOrEqual(4);
  expect(text).toContain('"id":"long"');
  expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(500); // as it came, not at the end
});

it("P2.4-4, H12: a Vault that cannot tell is 503, never the next in the chain, and heals within 5 s", async () => {
  await world.vault.seal();
  await lab.restartServe(); // nothing is cached
  const exchanges = lab.idp.exchanges.length;
  const challenge = async () => expect((await legacy(lab.gateway, "ping", {}, { path: on("demo") })).status).toBe(401);
  await vi.waitFor(challenge, 10_000); // until Envoy asks serve again
  for (const server of ["demo", "tickets"]) {
    const reply = await call("alice", on(server), "whoami");
    expect([reply.status, reasonOf(reply), reply.headers.get("retry-after")]).toEqual([
      503,
      "credential_unavailable",
      "1",
    ]);
  }
  expect(lab.idp.exchanges).toHaveLength(exchanges);
  await world.vault.unseal();
  const healed = async () => expect(received(await call("alice", on("demo"), "whoami"))).toBe(`Bearer ${ALICE_PAT}`);
  await vi.waitFor(healed, { timeout: 5000, interval: 100 });
});

it("P6: no secret of the run in any log, metric or answer", async () => {
  await delay(200);
  const metrics = async (port: number) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const { serve, broker, envoy } = lab.children;
  const seen = [serve, broker, envoy].map((child) => child.output());
  seen.push(readFileSync(lab.auditFile, "utf8"));
  for (const url of opsUrls()) seen.push(await metrics(url));
  const secrets = [ALICE_PAT, BUDGET_CREDENTIAL, world.vault.secretId, ...Object.values(tokens)];
  for (const secret of secrets) {
    for (const form of [secret, Buffer.from(secret).toString("base64"), Buffer.from(secret).toString("hex")])
      expect(seen.filter((text) => text.includes(form))).toEqual([]);
  }
});

function opsUrls(): number[] {
  const text = readFileSync(lab.configFile, "utf8");
  return [/ops: 127\.0\.0\.1:(\d+)/.exec(text)?.[1]].map(Number);
}

describe("CL-03: around the gateway, each server refuses whoever comes without the credential", () => {
  const bringing = (credential: string) => ({ authorization: `Bearer ${credential}` });
  it.each<["demo" | "tickets" | "everything" | "budget", string]>([
    ["demo", ALICE_PAT],
    ["tickets", ALICE_PAT],
    ["everything", EVERYTHING_CREDENTIAL],
    ["budget", BUDGET_CREDENTIAL],
  ])("%s", async (server, credential) => {
    const strangers: Record<string, string>[] = [
      {},
      bringing(""),
      bringing(tokens["alice"] ?? ""),
      bringing(`${credential}x`),
      bringing(credential.slice(0, -1)),
      { authorization: `Basic ${credential}` },
      { authorization: credential },
      { "x-authorized-tools": credential },
      { cookie: `authorization=Bearer ${credential}` },
    ];
    const served = async (headers: Record<string, string>) =>
      (await legacy(`http://127.0.0.1:${ports[server]}`, "tools/list", {}, { path: "/mcp", headers })).status !== 401;
    for (const headers of strangers) expect([headers, await served(headers)]).toEqual([headers, false]);
    expect(await served(bringing(credential))).toBe(true);
  });

  it("a token for one server opens no other", async () => {
    await call("alice", on("tickets"), "whoami");
    const credential = { authorization: String(world.tickets.arrivals.at(-1)?.headers["authorization"]) };
    const status = async (port: number) =>
      (await legacy(`http://127.0.0.1:${port}`, "tools/list", {}, { path: "/mcp", headers: credential })).status;
    expect([await status(ports.tickets), await status(ports.demo)]).toEqual([200, 401]);
  });
});
