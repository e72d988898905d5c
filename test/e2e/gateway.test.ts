// The whole system through the real Envoy: what the demo promises.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { findTool } from "../../src/files/program.ts";
import { DEMO_CREDENTIAL, startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { legacy, modern, post, reasonOf } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-e2e-"));
let lab: Lab;
let alice: string;
let bob: string;

beforeAll(async () => {
  lab = await startLab({ folder, ports: await freePorts(), policyFolder: null, progress: () => {} });
  alice = await lab.idp.mint("alice");
  bob = await lab.idp.mint("bob");
});
afterAll(async () => {
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

function auditLines(): Record<string, unknown>[] {
  const text = readFileSync(lab.auditFile, "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe.each([
  ["2025-11-25", legacy],
  ["2026-07-28", modern],
] as const)("a call of the revision %s", (_, send) => {
  it("alice's arrives with the configured credential and without her token", async () => {
    const reply = await send(lab.gateway, "tools/call", { name: "whoami", arguments: {} }, { token: alice });
    expect(reply.status).toBe(200);
    expect(reply.text).toContain(`Bearer ${DEMO_CREDENTIAL}`);
    const arrival = lab.demo.arrivals.at(-1);
    expect(arrival?.headers.authorization).toBe(`Bearer ${DEMO_CREDENTIAL}`);
    expect(JSON.stringify(arrival)).not.toContain(alice);
    expect(auditLines().at(-1)).toMatchObject({
      decision: "allow",
      server: "demo",
      name: "whoami",
      subject: "alice",
      credential: "static",
    });
  });

  it("a withheld tool is refused in JSON-RPC with the request's id, and reaches nobody", async () => {
    const before = lab.demo.arrivals.length;
    const reply = await send(
      lab.gateway,
      "tools/call",
      { name: "delete_repo", arguments: { name: "x" } },
      { token: alice },
    );
    expect([reply.status, reasonOf(reply), reply.message?.["id"]]).toEqual([200, "policy_denied", 1]);
    expect(lab.demo.arrivals).toHaveLength(before);
  });

  it("bob is refused, and a tool that does not exist looks the same", async () => {
    const denied = await send(lab.gateway, "tools/call", { name: "whoami", arguments: {} }, { token: bob });
    const unknown = await send(lab.gateway, "tools/call", { name: "no_such_tool", arguments: {} }, { token: bob });
    const shape = (text: string) => text.replace(/"requestId":"[^"]*"/, "");
    expect(reasonOf(denied)).toBe("policy_denied");
    expect(shape(unknown.text)).toBe(shape(denied.text));
  });

  it("nobody gets the challenge, and its document says where to log in", async () => {
    const reply = await send(lab.gateway, "tools/call", { name: "whoami", arguments: {} });
    const url = `${lab.gateway}/.well-known/oauth-protected-resource/servers/demo/mcp`;
    expect(reply.status).toBe(401);
    expect(reply.headers.get("www-authenticate")).toBe(
      `Bearer realm="${lab.gateway}", resource_metadata="${url}", scope="mcp:read mcp:write"`,
    );
    expect(reply.message).toEqual({ error: "unauthorized", message: "Missing or invalid access token" });
    const document = await fetch(url);
    expect(document.status).toBe(200);
    expect(await document.json()).toMatchObject({
      resource: `${lab.gateway}/servers/demo/mcp`,
      authorization_servers: [lab.idp.issuer],
    });
  });
});

it("a rule on arguments holds on the wire", async () => {
  const transfer = (amount: unknown) =>
    legacy(lab.gateway, "tools/call", { name: "transfer", arguments: { to: "carol", amount } }, { token: alice });
  expect((await transfer(1000)).text).toContain("sent 1000 to carol");
  for (const amount of [1001, "1", null]) expect(reasonOf(await transfer(amount))).toBe("policy_denied");
});

it("B23: a header that repeats an argument does not reach a direct server unchecked: the broker carries the call", async () => {
  const headers = { "mcp-param-amount": "9999" };
  const call = { name: "transfer", arguments: { to: "carol", amount: 5 } };
  const reply = await legacy(lab.gateway, "tools/call", call, { token: alice, headers });
  expect([reply.status, reply.text]).toEqual([200, expect.stringContaining("sent 5 to carol")]);
  const arrived = lab.demo.arrivals.at(-1);
  expect(arrived?.headers).not.toHaveProperty("mcp-param-amount");
  expect(arrived?.headers.authorization).toBe(`Bearer ${DEMO_CREDENTIAL}`);
  expect(auditLines().at(-1)).toMatchObject({ decision: "allow", wristband: expect.any(String) as string });
});

it("CF-24: traceparent and tracestate reach the server, and the audit line has the trace", async () => {
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  const headers = { traceparent: `00-${trace}-00f067aa0ba902b7-01`, tracestate: "vendor=value" };
  await legacy(lab.gateway, "tools/call", { name: "whoami", arguments: {} }, { token: alice, headers });
  expect(lab.demo.arrivals.at(-1)?.headers).toMatchObject(headers);
  expect(auditLines().at(-1)).toMatchObject({ decision: "allow", trace_id: trace });
  const forged = { traceparent: `00-${"0".repeat(32)}-00f067aa0ba902b7-01` };
  await legacy(lab.gateway, "tools/call", { name: "whoami", arguments: {} }, { token: alice, headers: forged });
  expect(auditLines().at(-1)).toMatchObject({ decision: "allow", trace_id: null });
});

it("a scope that is missing is asked for, and cures it", async () => {
  const narrow = await lab.idp.mint("alice", { scope: "mcp:read" });
  const params = { name: "transfer", arguments: { to: "carol", amount: 1 } };
  const refused = await legacy(lab.gateway, "tools/call", params, { token: narrow });
  expect([refused.status, reasonOf(refused)]).toEqual([403, "scope_insufficient"]);
  expect(refused.headers.get("www-authenticate")).toContain('error="insufficient_scope", scope="mcp:write"');
});

describe("policy is live", () => {
  const data = () => join(lab.policyFolder, "data.yaml");
  const call = (token: string) => legacy(lab.gateway, "tools/call", { name: "whoami", arguments: {} }, { token });

  async function until(check: () => Promise<boolean>, withinMs: number): Promise<boolean> {
    const end = Date.now() + withinMs;
    while (Date.now() < end) {
      if (await check()) return true;
      await delay(100);
    }
    return false;
  }

  it.skipIf(findTool("opa") === null)(
    "an edit counts within 2 seconds; a broken one keeps the last good policy and says so",
    async () => {
      const original = readFileSync(data(), "utf8");
      writeFileSync(data(), original.replace(/whoami/g, "whoareyou"));
      // 2 s is the promise; a loaded machine gets more before the test calls it broken.
      expect(await until(async () => reasonOf(await call(alice)) === "policy_denied", 6000)).toBe(true);
      writeFileSync(data(), original);
      expect(
        await until(async () => (await call(alice)).status === 200 && reasonOf(await call(alice)) === undefined, 6000),
      ).toBe(true);

      const rego = join(lab.policyFolder, "broken.rego");
      writeFileSync(rego, "package mcp.authz\nallow if {");
      expect(await until(async () => lab.children.serve.output().includes("broken.rego"), 6000)).toBe(true);
      expect(reasonOf(await call(alice))).toBeUndefined();
      rmSync(rego);
    },
  );
});

it.skipIf(findTool("opa") === null)(
  "E04, E05: a policy that would not end is stopped by its memory limit, and costs its own call only",
  async () => {
    const file = join(lab.policyFolder, "policy.rego");
    const original = readFileSync(file, "utf8");
    const endless = `
within_limits if {
	input.mcp.name == "search_docs"
	not input.mcp.listing
	some a in numbers.range(1, 100000000)
	a == input.mcp.arguments.query
}
`;
    const call = (name: string) =>
      legacy(lab.gateway, "tools/call", { name, arguments: { query: "x", text: "x" } }, { token: alice });
    const narrowed = original.replace(
      'within_limits if input.mcp.name != "transfer"',
      'within_limits if not input.mcp.name in {"transfer", "search_docs"}',
    );
    const before = lab.demo.arrivals.length;
    const lives = () => lab.children.serve.output().split("policy_live").length;
    const live = lives();
    writeFileSync(file, narrowed + endless);
    await vi.waitFor(() => expect(lives()).toBeGreaterThan(live), 8000);
    const reply = await call("search_docs");
    // Its memory limit ends it after 0.1 to 0.3 s of CPU. A machine so busy that this takes a second has Envoy's own 503.
    expect(reply.status).toBe(503);
    if (typeof reasonOf(reply) === "string") expect(["policy_unavailable", "deadline"]).toContain(reasonOf(reply));
    expect(lab.demo.arrivals).toHaveLength(before);
    await vi.waitFor(async () => expect((await call("echo")).text).toContain('"x"'), { timeout: 5000, interval: 100 });
    expect(lab.children.serve.output()).not.toContain("policy_ran_away");
    writeFileSync(file, original);
    await vi.waitFor(() => expect(lives()).toBeGreaterThan(live + 1), 8000);
  },
  60_000,
);

it("MCP Inspector sees alice's tools and calls one", async () => {
  const run = promisify(execFile);
  const inspect = (token: string, ...args: string[]) =>
    run(
      "mcp-inspector",
      [
        "--cli",
        "--server-url",
        `${lab.gateway}/servers/demo/mcp`,
        "--transport",
        "http",
        "--header",
        `Authorization: Bearer ${token}`,
        ...args,
        "--format",
        "json",
      ],
      { env: { ...process.env, HOME: folder }, timeout: 30_000 },
    ).then(
      ({ stdout }) => stdout,
      (error: { stdout: string; stderr: string }) => `failed ${error.stdout} ${error.stderr}`,
    );
  for (const era of ["legacy", "modern"]) {
    const list = await inspect(alice, "--protocol-era", era, "--method", "tools/list");
    expect(list).toContain("whoami");
    expect(list).not.toContain("delete_repo");
    expect(await inspect(bob, "--protocol-era", era, "--method", "tools/list")).not.toContain("whoami");
    const called = await inspect(alice, "--protocol-era", era, "--method", "tools/call", "--tool-name", "whoami");
    expect(called).toContain(DEMO_CREDENTIAL);
    expect(called).not.toContain(alice);
  }
});

it("a body that two parsers could read differently is refused", async () => {
  const twice = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","name":"delete_repo"}}';
  const reply = await post(lab.gateway, twice, { token: alice });
  expect([reply.status, reasonOf(reply)]).toEqual([400, "body_malformed"]);
});

it("M2, C17: with serve gone, Envoy answers 503 and nothing gets through; it heals", async () => {
  const before = lab.demo.arrivals.length;
  lab.children.serve.kill("SIGKILL");
  await lab.children.serve.exited;
  const reply = await legacy(lab.gateway, "tools/call", { name: "whoami", arguments: {} }, { token: alice });
  expect(reply.status).toBe(503);
  expect(lab.demo.arrivals).toHaveLength(before);
  await lab.restartServe();
  await vi.waitFor(
    async () => {
      const again = await legacy(lab.gateway, "tools/call", { name: "whoami", arguments: {} }, { token: alice });
      expect(again.status).toBe(200);
    },
    { timeout: 20_000, interval: 250 },
  );
}, 60_000);

it("P6: no token, credential or key stands in any log", async () => {
  const secrets = [
    alice,
    bob,
    DEMO_CREDENTIAL,
    readFileSync(join(folder, "keys/wristband.pem"), "utf8").split("\n")[1] ?? "?",
  ];
  const logs = ["serve.log", "broker.log", "envoy.log", "audit.jsonl"]
    .map((name) => readFileSync(join(folder, "logs", name), "utf8"))
    .join("\n");
  for (const secret of secrets) {
    expect(logs).not.toContain(secret);
    expect(logs).not.toContain(secret.split(".")[2] ?? secret);
    expect(logs).not.toContain(Buffer.from(secret).toString("base64"));
  }
});
