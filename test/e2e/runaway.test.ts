// F1: a caller who makes policy run away costs herself: through the real Envoy, with a policy whose rule takes as long as an
// argument is.
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { findTool } from "../../src/files/program.ts";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { jsonLines } from "../../demo/lab-interface.ts";
import { legacy, reasonOf, type Reply } from "./client.ts";

/** A rule that looks at all triples of a list: an author's mistake, which takes no memory that could stop it. */
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
const LIST = Array.from({ length: 3000 }, (_, i) => `v${i}`);
const HEALED = { timeout: 15_000, interval: 50 };

describe.skipIf(findTool("opa") === null)("a policy that runs away", () => {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-runaway-"));
  const policyFolder = join(folder, "policies");
  let lab: Lab;
  let ports: Ports;
  let silent: Server;

  beforeAll(async () => {
    cpSync(resolve(import.meta.dirname, "../../policies/demo"), policyFolder, { recursive: true });
    rmSync(join(policyFolder, ".compiled"), { recursive: true });
    writeFileSync(join(policyFolder, "cubic.rego"), CUBIC);
    const data = readFileSync(join(policyFolder, "data.yaml"), "utf8");
    writeFileSync(
      join(policyFolder, "data.yaml"),
      data.replace("    demo:\n", "    waits: {tool: [echo]}\n    demo:\n"),
    );
    ports = await freePorts();
    silent = createServer((socket) => void socket.on("error", () => {}).resume());
    await new Promise<void>((done) => silent.listen(ports.tickets, "127.0.0.1", done));
    lab = await startLab({ folder, ports, policyFolder, progress: () => {}, config: configure });
  });
  afterAll(async () => {
    await lab.stop();
    await new Promise((done) => silent.close(done));
    rmSync(folder, { recursive: true, force: true });
  });

  /** Beside the demo a server whose credential takes as long as a Check may. */
  function configure(config: Record<string, unknown>): void {
    config["checkTimeoutMs"] = 5000;
    config["limits"] = { runawaySeconds: 600 };
    const exchange = {
      tokenEndpoint: `http://127.0.0.1:${ports.tickets}/token`,
      client: { id: "gateway", secret: { file: "secrets/exchange" } },
      audience: "http://127.0.0.1:1/mcp",
      timeoutMs: 4000,
    };
    Object.assign(config["servers"] as object, {
      waits: { url: "http://127.0.0.1:1/mcp", credential: [{ exchange }] },
    });
  }

  async function call(person: string, args: object = { text: "x" }, server = "demo"): Promise<Reply> {
    const token = await lab.idp.mint(person);
    return legacy(
      lab.gateway,
      "tools/call",
      { name: "echo", arguments: args },
      { token, path: `/servers/${server}/mcp` },
    );
  }
  const statusOf = async (person: string) => {
    const reply = await call(person);
    return [reply.status, reasonOf(reply)];
  };
  const serves = (person: string) =>
    vi.waitFor(async () => expect(await statusOf(person)).toEqual([200, undefined]), HEALED);
  const audit = (subject: string) =>
    jsonLines(readFileSync(lab.auditFile, "utf8")).filter((line) => line["subject"] === subject);
  const ops = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${ports.ops}${path}`);
    return { status: response.status, text: await response.text() };
  };
  const runaways = () => jsonLines(lab.children.serve.output()).filter(({ event }) => event === "policy_ran_away");

  it("P14, P15: costs its caller, who is refused by name; others go on, and every Check has its line", async () => {
    await serves("alice");
    const config = readFileSync(lab.configFile, "utf8");
    writeFileSync(lab.configFile, "half: {"); // somebody edits it meanwhile
    const waiting = call("alice", { text: "x" }, "waits");
    await new Promise((done) => setTimeout(done, 300)); // until it waits for its credential
    const [lost, ran] = await Promise.all([waiting, call("bob", { list: LIST })]);
    expect([lost.status, ran.status]).toEqual([503, 503]);

    await serves("alice");
    writeFileSync(lab.configFile, config);
    const refused = await call("bob");
    expect([refused.status, reasonOf(refused)]).toEqual([429, "caller_suspended"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(1);
    expect(runaways()).toMatchObject([{ subject: "bob", quarantined: null, suspendedSeconds: 600 }]);

    expect(audit("bob").map(({ decision, reason }) => [decision, reason])).toEqual([
      ["fail", "policy_unavailable"],
      ["deny", "caller_suspended"],
    ]);
    expect(audit("bob")[0]).toMatchObject({
      ...{ issuer: lab.idp.issuer, server: "demo", method: "tools/call", kind: "tool", name: "echo" },
      detail: expect.stringContaining("this evaluation of policy ran away") as string,
      policy: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
    expect(audit("alice").filter(({ server }) => server === "waits")).toMatchObject([
      { decision: "fail", reason: "policy_unavailable", detail: expect.stringContaining("another Check's") as string },
    ]);
    expect((await ops("/readyz")).status).toBe(200);
  });

  it("as often as the same caller tries, nobody else notices", async () => {
    for (let i = 0; i < 4; i += 1) expect((await call("bob", { list: LIST })).status).toBe(429);
    expect(await statusOf("alice")).toEqual([200, undefined]);
    expect(runaways()).toHaveLength(1);
  });

  it("by three callers within a minute, bob of before among them: the revision is quarantined, which is told; a changed policy lifts it", async () => {
    for (const person of ["mallory", "carol"]) {
      await serves("alice");
      expect((await call(person, { list: LIST })).status).toBe(503);
    }
    await vi.waitFor(async () => expect(await statusOf("alice")).toEqual([503, "policy_unavailable"]), HEALED);
    const ready = await ops("/readyz");
    expect([ready.status, JSON.parse(ready.text)]).toMatchObject([
      503,
      { ready: false, policy: { quarantined: true } },
    ]);
    expect((await ops("/metrics")).text).toMatch(/^mcp_authz_policy_quarantined 1$/m);
    appendFileSync(join(policyFolder, "data.yaml"), "# looked at\n");
    await serves("alice");
    expect((await ops("/readyz")).status).toBe(200);
    const { text } = await ops("/metrics");
    for (const line of [
      "mcp_authz_policy_quarantined 0",
      "mcp_authz_runaways_total 3",
      "mcp_authz_callers_suspended 3",
    ])
      expect(text).toContain(`\n${line}\n`);
  });
});
