// Row P8.3-1: the eight steps of one call, each asserted by what somebody else recorded: the provider, OpenBao's own audit
// log, the servers and our audit log.
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { ALICE_PAT, type World } from "../../demo/world.ts";
import { logIn } from "./browser.ts";
import { legacy, reasonOf } from "./client.ts";
import { loginMemory } from "./login-memory.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-steps-"));
let lab: Lab;
let world: World;
let token: string;
let client: Client;

type Line = Record<string, unknown>;
const linesOf = (file: string): Line[] =>
  readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
const audit = (name: string) => linesOf(lab.auditFile).filter((line) => line["name"] === name);
const claimsOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString()) as Line;
const lastCall = (arrivals: Lab["demo"]["arrivals"]) =>
  String(arrivals.findLast(({ body }) => body.includes('"tools/call"'))?.headers.authorization ?? "");

beforeAll(async () => {
  lab = await startLab({ folder, ports: await freePorts(), policyFolder: null, world: true, progress: () => {} });
  if (lab.world === null) throw new Error("no world");
  ({ world } = lab);
});
afterAll(async () => {
  await client?.close();
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("P8.3-1: alice, a client that knows only the URL, and two servers", () => {
  it("1. login: the provider gives the client a token of hers for this endpoint", async () => {
    const memory = loginMemory();
    const connect = () => {
      const transport = new StreamableHTTPClientTransport(new URL(`${lab.gateway}/mcp`), { authProvider: memory });
      client = new Client({ name: "steps", version: "1" });
      return { transport, done: client.connect(transport) };
    };
    const first = connect();
    await expect(first.done).rejects.toBeInstanceOf(UnauthorizedError);
    await first.transport.finishAuth((await logIn(String(memory.kept.asked), "alice")).searchParams);
    await connect().done;
    token = String(memory.kept.tokens?.access_token);
    expect(claimsOf(token)).toMatchObject({ iss: lab.idp.issuer, sub: "alice", aud: `${lab.gateway}/mcp` });
    const names = async () => (await client.listTools()).tools.map(({ name }) => name);
    await vi.waitFor(async () => expect(await names()).toContain("tickets_whoami"), 10_000);
  });

  it("2. validate: her token is verified, and one with another signature gets nowhere", async () => {
    await client.callTool({ name: "demo_whoami", arguments: {} });
    expect(audit("whoami").at(-1)).toMatchObject({ decision: "allow", issuer: lab.idp.issuer, subject: "alice" });
    const reads = linesOf(world.vault.auditFile).length;
    const forged = `${token.slice(0, token.lastIndexOf("."))}.${"A".repeat(86)}`;
    const refused = await legacy(lab.gateway, "tools/list", {}, { token: forged, path: "/mcp" });
    expect(refused.status).toBe(401);
    expect(linesOf(lab.auditFile).at(-1)).toMatchObject({ decision: "deny", reason: "token_invalid", subject: null });
    expect(linesOf(world.vault.auditFile)).toHaveLength(reads);
  });

  it("3. exchange: the provider was shown exactly her token, once, for that server", async () => {
    await client.callTool({ name: "tickets_whoami", arguments: {} });
    await client.callTool({ name: "tickets_whoami", arguments: {} });
    expect(lab.idp.exchanges).toMatchObject([
      {
        subject: "alice",
        audience: world.tickets.url,
        granted: true,
        subjectTokenSha256: createHash("sha256").update(token).digest("hex"),
      },
    ]);
  });

  it("4. policy: the revision that decided is the one that is live, and what it withholds goes nowhere", async () => {
    const metrics = await (await fetch(`${opsOf(lab)}/metrics`)).text();
    const live = /mcp_authz_policy_info\{revision="([0-9a-f]{64})"\} 1/.exec(metrics)?.[1];
    expect(audit("whoami").at(-1)).toMatchObject({ policy: live });
    const before = lab.idp.exchanges.length;
    const refused = await legacy(
      lab.gateway,
      "tools/call",
      { name: "tickets_transfer", arguments: {} },
      { token, path: "/mcp" },
    );
    expect(reasonOf(refused)).toBe("policy_denied");
    expect(lab.idp.exchanges).toHaveLength(before);
  });

  it("5. vault: OpenBao's own log has the read of her entry, by the gateway's role", () => {
    const reads = linesOf(world.vault.auditFile).filter((line) => {
      const request = line["request"] as Line;
      return (
        line["type"] === "response" && request["path"] === "secret/data/alice/demo" && request["operation"] === "read"
      );
    });
    expect(reads).toHaveLength(1); // then from the cache
    expect(reads[0]).toMatchObject({ auth: { policies: ["mcp-authz"] } });
  });

  it("6. inject: her credential reached the server in place of her token", () => {
    expect(lastCall(lab.demo.arrivals)).toBe(`Bearer ${ALICE_PAT}`);
    expect(JSON.stringify([lab.demo.arrivals, world.tickets.arrivals])).not.toContain(token);
  });

  it("7. least privilege: what the other server got is for it alone, and opens nothing here", async () => {
    const exchanged = lastCall(world.tickets.arrivals).replace("Bearer ", "");
    const claims = claimsOf(exchanged);
    expect(claims).toMatchObject({ sub: "alice", aud: world.tickets.url, scope: "mcp:read" });
    expect(Number(claims["exp"])).toBeLessThanOrEqual(Number(claimsOf(token)["exp"]));
    for (const path of ["/mcp", "/servers/demo/mcp"])
      expect((await legacy(lab.gateway, "tools/list", {}, { token: exchanged, path })).status).toBe(401);
    expect(linesOf(lab.auditFile).at(-1)).toMatchObject({ reason: "token_audience" });
  });

  it("8. audit: each call has its line, in order, with whose credential it went on", () => {
    const calls = audit("whoami").map(({ decision, server, credential, wristband }) => [
      decision,
      server,
      credential,
      typeof wristband,
    ]);
    expect(calls).toEqual([
      ["allow", "demo", "vault", "string"],
      ["allow", "tickets", "exchange", "string"],
      ["allow", "tickets", "exchange", "string"],
    ]);
    const times = linesOf(lab.auditFile).map(({ time }) => String(time));
    expect(times).toEqual(times.toSorted());
  });
});

function opsOf({ configFile }: Lab): string {
  return `http://${/ops: (127\.0\.0\.1:\d+)/.exec(readFileSync(configFile, "utf8"))?.[1] ?? ""}`;
}
