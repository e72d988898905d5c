// `serve` under forged tokens, and with a revocation file that cannot be read: what other callers see.
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { firstHandover } from "../fakes/handover.ts";
import { noOpa } from "../fakes/opa.ts";
import { startServe, type Serve } from "../../src/app/serve/serve.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createLog } from "../../src/ops/log.ts";
import { checkMessage, codecs, FULL_PROTO } from "../fakes/check-request.ts";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-hostile-"));
const revocationFile = join(folder, "revoked.jsonl");
const { request, response } = codecs(FULL_PROTO);
const key = makeKey("k1");
const forger = makeKey("k1");
const log: string[] = [];
let idp: FakeIssuer;
let serve: Serve;
let client: Client;

beforeAll(async () => {
  idp = await startIssuer(key);
  writeFileSync(revocationFile, "");
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "w.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  const config = {
    publicOrigin: "https://gw.example.com",
    clientAddress: "x-envoy-external-address",
    listen: { authz: "127.0.0.1:0", ops: "127.0.0.1:0" },
    drainMs: 10,
    checkTimeoutMs: 10_000,
    audit: { file: "audit.jsonl" },
    identity: { issuers: [{ issuer: idp.issuer, audiences: ["a"], algorithms: ["ES256"] }], revocationFile },
    policy: { path: resolve(import.meta.dirname, "../../policies/demo") },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "w", file: "w.pem" }] },
    catalog: { url: "http://127.0.0.1:1/catalog" },
    servers: { demo: { url: "http://127.0.0.1:1/mcp", callRouting: "direct", credential: [{ none: {} }] } },
  };
  const file = join(folder, "mcp-authz.yaml");
  writeFileSync(file, stringify(config));
  const reread = () => loadConfig(file, {}).config;
  serve = await startServe({
    config: reread(),
    reread,
    log: createLog((line) => log.push(line), "info", Date.now),
    findOpa: noOpa,
    handover: firstHandover(),
    tell: () => {},
  });
  client = new Client(`127.0.0.1:${serve.authzPort}`, credentials.createInsecure());
}, 60_000);
afterAll(async () => {
  client.close();
  await serve.stop();
  await idp.close();
  rmSync(folder, { recursive: true, force: true });
});

let serial = 0;
function tokenBy(by: typeof key): string {
  serial += 1;
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: idp.issuer, aud: "a", sub: "alice", iat: now, exp: now + 300, jti: `j${serial}` };
  return compact(by, { alg: "ES256", typ: "at+jwt", kid: "k1" }, claims);
}

/** The HTTP status that Envoy would send for a `ping`; 200 for an allow. */
function ask(source: string, token: string): Promise<number> {
  const headers = {
    "content-type": "application/json",
    authorization: `Bearer ${token}`,
    "x-envoy-external-address": source,
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });
  const bytes = request.encode(checkMessage({ host: "gw.example.com", path: "/servers/demo/mcp", headers, body }));
  return new Promise((done, fail) => {
    const same = (buffer: Buffer) => buffer;
    client.makeUnaryRequest("/envoy.service.auth.v3.Authorization/Check", same, same, bytes, (error, answer) => {
      if (answer === undefined) fail(error ?? new Error("no answer"));
      else done(statusOf(answer));
    });
  });
}

function statusOf(answer: Buffer): number {
  const { status, denied_response: denied } = response.decode(answer) as {
    status: { code: number };
    denied_response?: { status: { code: string | number } };
  };
  if (status.code === 0) return 200;
  const names: Record<string, number> = { Unauthorized: 401, TooManyRequests: 429, ServiceUnavailable: 503 };
  return names[denied?.status.code ?? ""] ?? Number(denied?.status.code);
}

it("F12: a flood of forged tokens from one address leaves another's cached token and its fresh one working", async () => {
  const cached = tokenBy(key);
  expect(await ask("198.51.100.1", cached)).toBe(200);
  const counts: Record<number, number> = {};
  const flood = Array.from({ length: 1500 }, () =>
    ask("192.0.2.66", tokenBy(forger)).then((status) => (counts[status] = (counts[status] ?? 0) + 1)),
  );
  const others = [];
  for (let i = 0; i < 20; i += 1)
    others.push(await ask("198.51.100.1", cached), await ask("203.0.113.5", tokenBy(key)));
  await Promise.all(flood);
  expect(new Set(others)).toEqual(new Set([200]));
  // Two hundred at once, and what the seconds of the flood bring: the machine may be slow.
  expect(counts[429]).toBeGreaterThan(500);
  expect((counts[401] ?? 0) + (counts[429] ?? 0)).toBe(1500);
});

it("F11: a revocation file that cannot be read makes it not ready, refuses all, and heals", async () => {
  const token = tokenBy(key);
  const readyz = async () => {
    const answer = await fetch(`http://127.0.0.1:${serve.opsPort}/readyz`);
    return [answer.status, ((await answer.json()) as { revocations: { stale: string | null } }).revocations.stale];
  };
  expect([await ask("198.51.100.1", token), ...(await readyz())]).toEqual([200, 200, null]);
  writeFileSync(revocationFile, "not a line\n");
  await serve.reload();
  await serve.reload();
  expect(await ask("198.51.100.1", token)).toBe(503);
  expect(await readyz()).toEqual([503, expect.stringMatching(/^line 1: not JSON/)]);
  expect(log.filter((line) => line.includes("revocations_not_read"))).toHaveLength(1);
  writeFileSync(revocationFile, "");
  await serve.reload();
  expect([await ask("198.51.100.1", token), ...(await readyz())]).toEqual([200, 200, null]);
});
