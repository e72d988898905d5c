// Token exchange through the real Envoy: whose token arrives at the server, and what happens when there is none.
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { claimsOf } from "../contract/exchange.ts";
import { EXCHANGE_CLIENT } from "../../demo/idp-exchange.ts";
import { startLab, type Lab } from "../../demo/lab.ts";
import { DEMO_EXCHANGE_SECRET } from "../../demo/world.ts";
import { freePorts, type Ports } from "../../demo/ports.ts";
import { legacy, reasonOf } from "./client.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-e2e-"));
const revocationFile = join(folder, "revoked.jsonl");
let lab: Lab;
let ports: Ports;
let alice: string;

/** The demo server with exchanged tokens; bob may call it as far as policy goes. */
function withExchange(config: Record<string, unknown>): void {
  const servers = config["servers"] as Record<string, Record<string, unknown>>;
  const server = servers["demo"] ?? {};
  config["identity"] = { ...(config["identity"] as object), revocationFile };
  writeFileSync(revocationFile, "");
  const [issuer] = (config["identity"] as { issuers: { issuer: string }[] }).issuers;
  const client = { id: EXCHANGE_CLIENT, secret: { file: "secrets/exchange" } };
  const exchange = { tokenEndpoint: `${issuer?.issuer}/token`, client, audience: server["url"], scope: "mcp:read" };
  server["credential"] = [{ exchange: { ...exchange, timeoutMs: 700 } }, { static: { file: "secrets/demo" } }];
  // The same server once more, where the gateway acts for the caller.
  servers["acting"] = { ...server, credential: [{ exchange: { ...exchange, timeoutMs: 700, mode: "delegation" } }] };
  const grants = {
    finance: { demo: { tool: ["whoami"] } },
    engineering: {
      demo: { tool: ["whoami", "echo"] },
      acting: { tool: ["whoami"] },
    },
  };
  writeFileSync(join(folder, "policies/data.yaml"), JSON.stringify({ grants, limits: { transfer: 1000 } }));
}

beforeAll(async () => {
  ports = await freePorts();
  lab = await startLab({ folder, ports, policyFolder: null, progress: () => {}, config: withExchange });
  alice = await lab.idp.mint("alice");
});
afterAll(async () => {
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

const call = (token: string, name = "whoami") =>
  legacy(lab.gateway, "tools/call", { name, arguments: name === "echo" ? { text: "x" } : {} }, { token });
const audited = () => JSON.parse(readFileSync(lab.auditFile, "utf8").trim().split("\n").at(-1) ?? "") as object;

it("P2.3-4, P2.3-5: the server gets a token of its own for alice, and the next call costs the IdP nothing", async () => {
  for (let i = 0; i < 3; i += 1) expect((await call(alice)).status).toBe(200);
  const arrival = lab.demo.arrivals.at(-1);
  const token = String(arrival?.headers.authorization).replace("Bearer ", "");
  expect(claimsOf(token)).toMatchObject({ aud: lab.demo.url, sub: "alice", scope: "mcp:read" });
  expect(JSON.stringify(lab.demo.arrivals)).not.toContain(alice);
  expect(lab.idp.exchanges).toMatchObject([{ client: EXCHANGE_CLIENT, subject: "alice", granted: true }]);
  expect(audited()).toMatchObject({
    decision: "allow",
    subject: "alice",
    credential: "exchange",
    credential_audience: lab.demo.url,
  });
  expect((await call(token)).status).toBe(401);
});

it("P2.3-6, H05: with the gateway as actor the server sees both, and so does the audit line", async () => {
  const agents = await lab.idp.mint("alice", { extra: { act: { sub: "agent" } } });
  const path = "/servers/acting/mcp";
  const reply = await legacy(lab.gateway, "tools/call", { name: "whoami", arguments: {} }, { token: agents, path });
  expect(reply.status).toBe(200);
  const token = String(lab.demo.arrivals.at(-1)?.headers.authorization).replace("Bearer ", "");
  expect(claimsOf(token)).toMatchObject({ aud: lab.demo.url, sub: "alice", act: { sub: EXCHANGE_CLIENT } });
  expect(lab.idp.exchanges.at(-1)).toMatchObject({ subject: "alice", actor: EXCHANGE_CLIENT });
  const actors = { actor: "agent", credential_actors: [EXCHANGE_CLIENT, "agent"] };
  expect(audited()).toMatchObject({ decision: "allow", subject: "alice", server: "acting", ...actors });
});

it("4.7: somebody whom the IdP refuses gets 403, and nobody else's credential", async () => {
  const before = lab.demo.arrivals.length;
  const bob = await lab.idp.mint("bob");
  const reply = await call(bob);
  expect([reply.status, reasonOf(reply)]).toEqual([403, "credential_missing"]);
  expect(lab.demo.arrivals).toHaveLength(before);
  expect(audited()).toMatchObject({
    reason: "credential_missing",
    detail: expect.stringContaining("400 access_denied"),
  });
});

it("P2.3-1: who is refused before is not exchanged for; neither is housekeeping", async () => {
  const before = lab.idp.exchanges.length;
  const elsewhere = await lab.idp.mint("alice", { audience: "https://elsewhere.example.com" });
  for (const token of [elsewhere, `${alice.slice(0, -4)}AAAA`]) expect((await call(token)).status).toBe(401);
  expect(reasonOf(await call(await lab.idp.mint("alice"), "transfer"))).toBe("policy_denied");
  expect((await legacy(lab.gateway, "tools/list", {}, { token: alice })).status).toBe(200);
  expect(lab.idp.exchanges).toHaveLength(before);
});

it("H06: a caller whose token is revoked is exchanged for no more, nor served with what was", async () => {
  const token = await lab.idp.mint("alice");
  expect((await call(token)).status).toBe(200);
  const [exchanges, arrivals] = [lab.idp.exchanges.length, lab.demo.arrivals.length];
  const { iss, jti, exp: until } = claimsOf(token);
  appendFileSync(revocationFile, `${JSON.stringify({ iss, jti, until })}\n`);
  lab.children.serve.kill("SIGHUP");
  const revoked = { decision: "deny", reason: "token_revoked", credential: null };
  await vi.waitFor(() => expect(lab.children.serve.output()).toContain('"reloaded"'), 5000);
  expect((await call(token)).status).toBe(401);
  expect(audited()).toMatchObject(revoked);
  expect([lab.idp.exchanges.length, lab.demo.arrivals.length]).toEqual([exchanges, arrivals]);
});

it("P6: audit log, logs and metrics hold no token and no secret", async () => {
  const metrics = await (await fetch(`http://127.0.0.1:${ports.ops}/metrics`)).text();
  expect(metrics).toContain('mcp_authz_exchanges_total{outcome="ok"} 3');
  expect(metrics).toContain('mcp_authz_exchanges_total{outcome="none"} 1');
  expect(metrics).toContain('mcp_authz_cache_requests_total{cache="credential",result="hit"} 2');
  const exchanged = String(lab.demo.arrivals.at(-1)?.headers.authorization).replace("Bearer ", "");
  const text = readFileSync(lab.auditFile, "utf8") + lab.children.serve.output() + metrics;
  for (const secret of [alice, exchanged, DEMO_EXCHANGE_SECRET])
    for (const spelling of [secret, Buffer.from(secret).toString("base64"), secret.split(".").at(-1) ?? ""])
      expect(text).not.toContain(spelling);
});

it("N01, H12: without the IdP a call is 503 with Retry-After, whatever stands next in the chain", async () => {
  const fresh = await lab.idp.mint("alice");
  await lab.idp.close();
  const before = lab.demo.arrivals.length;
  const reply = await call(fresh);
  expect([reply.status, reasonOf(reply)]).toEqual([503, "credential_unavailable"]);
  expect(reply.headers.get("retry-after")).not.toBeNull();
  expect(lab.demo.arrivals).toHaveLength(before);
  expect((await call(alice)).status).toBe(200); // what is at hand is still used
});
