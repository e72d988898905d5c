// Every kind of caller through the real Envoy: what each presents reaches the Check, and no server.
import { hash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { calculateJwkThumbprint, type JWK } from "jose";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startLab, type Lab } from "../../demo/lab.ts";
import { freePorts } from "../../demo/ports.ts";
import { compact, makeKey } from "../fakes/issuer.ts";
import { answerOk, startEraServer, type EraServer } from "../fakes/mcp-server.ts";
import { legacy } from "./client.ts";

const KEY = "e2e-key-of-a-machine-0123456789abcdef";
const client = makeKey("client");
const jwk = { kty: client.jwk["kty"], crv: client.jwk["crv"], x: client.jwk["x"], y: client.jwk["y"] } as JWK;

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-callers-"));
let lab: Lab;
let server: EraServer;
let bound: string;
let bearer: string;

beforeAll(async () => {
  server = await startEraServer("legacy");
  server.onCall = answerOk;
  lab = await startLab({
    folder,
    ports: await freePorts(),
    policyFolder: null,
    progress: () => {},
    config: (config) => {
      const { issuers } = config["identity"] as { issuers: object[] };
      const ways = { name: "ci", sha256: hash("sha256", KEY), bearer: true, basic: true };
      config["identity"] = {
        issuers: issuers.map((issuer) => ({ ...issuer, dpop: "accepted" })),
        apiKeys: [{ ...ways, servers: ["demo"], groups: ["engineering"] }],
        proxies: [{ name: "sso", sans: ["spiffe://mesh/sso"], headers: { subject: "x-forwarded-user" } }],
      };
      const servers = config["servers"] as Record<string, Record<string, unknown>>;
      servers["demo"] = { ...servers["demo"], url: server.url };
      servers["tickets"] = { ...servers["demo"] };
      servers["open"] = { ...servers["demo"], public: true };
    },
  });
  bearer = await lab.idp.mint("alice");
  bound = await lab.idp.mint("alice", { extra: { cnf: { jkt: await calculateJwkThumbprint(jwk) } } });
});
afterAll(async () => {
  await lab.stop();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const basic = (user: string) => `Basic ${Buffer.from(`${user}:${KEY}`).toString("base64")}`;
function proofFor(path: string, more: object = {}): string {
  const claims = { jti: crypto.randomUUID(), htm: "POST", htu: lab.gateway + path, iat: Math.floor(Date.now() / 1000) };
  const ath = hash("sha256", bound, "base64url");
  return compact(client, { typ: "dpop+jwt", alg: "ES256", jwk }, { ...claims, ath, ...more });
}

async function echo(headers: Record<string, string>, at = "demo") {
  const before = server.of("tools/call").length;
  const params = { name: "echo", arguments: { text: "x" } };
  const reply = await legacy(lab.gateway, "tools/call", params, { path: `/servers/${at}/mcp`, headers });
  const reached = server.of("tools/call").slice(before);
  const isDenied = reply.text.includes('"policy_denied"');
  return {
    verdict: isDenied ? "denied" : reply.status,
    challenge: reply.headers.get("www-authenticate") ?? "",
    reached,
  };
}

it.each<[string, () => Record<string, string>, string | undefined, string | number]>([
  ["a token", () => ({ authorization: `Bearer ${bearer}` }), undefined, 200],
  ["a key in its header", () => ({ "x-api-key": KEY }), undefined, 200],
  ["a key as bearer", () => ({ authorization: `Bearer ${KEY}` }), undefined, 200],
  ["a key as password", () => ({ authorization: basic("ci") }), undefined, 200],
  ["a key as another's password", () => ({ authorization: basic("cj") }), undefined, 401],
  ["a wrong key", () => ({ "x-api-key": `${KEY}x` }), undefined, 401],
  ["key and token", () => ({ "x-api-key": KEY, authorization: `Bearer ${bearer}` }), undefined, 400],
  ["a key for a server that it does not open", () => ({ "x-api-key": KEY }), "tickets", 401],
  ["nothing", () => ({}), undefined, 401],
  ["nothing at a public server, where policy decides", () => ({}), "open", "denied"],
  ["a wrong key at a public server", () => ({ "x-api-key": `${KEY}x` }), "open", 401],
  ["a proxy's header from whoever", () => ({ "x-forwarded-user": "alice" }), undefined, 401],
  ["a proxy's header at a public server", () => ({ "x-forwarded-user": "alice" }), "open", 401],
])("AP-02: %s", async (_, headers, at, expected) => {
  const { verdict, reached } = await echo(headers(), at);
  expect(verdict).toBe(expected);
  expect(reached.length).toBe(expected === 200 ? 1 : 0);
  expect(JSON.stringify(reached.map((arrival) => arrival.headers))).not.toMatch(
    /e2e-key|x-api-key|x-forwarded-user|dpop/i,
  );
});

it("F88: a bound token with its proof, once; never as Bearer, never for another path", async () => {
  const path = "/servers/demo/mcp";
  const dpop = proofFor(path);
  const authorization = `DPoP ${bound}`;
  const { verdict, reached } = await echo({ authorization, dpop });
  expect(verdict).toBe(200);
  expect(JSON.stringify(reached.map((arrival) => arrival.headers))).not.toMatch(/dpop/i);
  for (const headers of [
    { authorization, dpop },
    { authorization, dpop: proofFor("/servers/tickets/mcp") },
    { authorization, dpop: proofFor(path, { htm: "GET" }) },
    { authorization },
    { authorization: `Bearer ${bound}` },
    { authorization: `Bearer ${bound}`, dpop: proofFor(path) },
  ]) {
    const refused = await echo(headers as Record<string, string>);
    expect([refused.verdict, refused.reached.length]).toEqual([401, 0]);
    expect(refused.challenge).toMatch(/^DPoP .*error="invalid_dpop_proof", algs="ES256 /);
  }
});

it("the audit line says how each came", () => {
  const lines = readFileSync(lab.auditFile, "utf8").trim().split("\n");
  const seen = new Set(lines.map((line) => (JSON.parse(line) as { auth: string | null }).auth));
  expect([...seen]).toEqual(expect.arrayContaining(["jwt", "api-key", "anonymous", null]));
});
