// `serve` asked as agentgateway asks it, over gRPC, by both wire stacks, without a broker; the answer may come to another replica.
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { freePorts } from "../../demo/ports.ts";
import { startServe, type Serve } from "../../src/app/serve/serve.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createLog } from "../../src/ops/log.ts";
import { clientHeaders, effectOf, mcpRequest, mcpResponse, PATHS } from "../fakes/ext-mcp.ts";
import { firstHandover } from "../fakes/handover.ts";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import { noOpa } from "../fakes/opa.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-ext-mcp-"));
const key = makeKey("idp");
let idp: FakeIssuer;
const serves: Serve[] = [];
const clients: Client[] = [];
/** One by each wire stack, with the same keys. */
let replicas: Client[];
beforeAll(async () => {
  idp = await startIssuer(key);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "k1.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  writeFileSync(join(folder, "pat"), "canary-pat\n", { mode: 0o600 });
  replicas = [await start("http2"), await start("grpc-js")];
}, 60_000);
afterAll(async () => {
  for (const client of clients) client.close();
  for (const serve of serves) await serve.stop();
  await idp.close();
  rmSync(folder, { recursive: true, force: true });
});

/** One replica. */
async function start(authzStack: "http2" | "grpc-js"): Promise<Client> {
  const ports = await freePorts();
  const file = join(folder, "mcp-authz.yaml");
  const text = stringify({
    publicOrigin: "https://gw.example.com",
    listen: { authz: "127.0.0.1:0", ops: `127.0.0.1:${ports.ops}`, authzStack },
    ...{ drainMs: 10, checkTimeoutMs: 8000 },
    audit: { file: `${authzStack}.jsonl` },
    identity: { issuers: [{ issuer: idp.issuer, audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: resolve(import.meta.dirname, "../../policies/demo") },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "k1.pem" }] },
    servers: {
      demo: {
        url: "http://127.0.0.1:1/mcp",
        callRouting: "direct",
        credential: [{ static: { file: "pat" } }],
      },
    },
  });
  writeFileSync(file, text);
  const { config } = loadConfig(file, {});
  const log = createLog(() => {}, "error", Date.now);
  const handover = firstHandover();
  const serve = await startServe({ config, reread: () => config, log, findOpa: noOpa, handover, tell: () => {} });
  serves.push(serve);
  const client = new Client(`127.0.0.1:${serve.authzPort}`, credentials.createInsecure());
  clients.push(client);
  return client;
}

function tokenOf(sub: string, groups: readonly string[]): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: idp.issuer, aud: "a", sub, groups, iat: now - 10, exp: now + 3600 };
  return compact(key, { alg: "ES256", typ: "at+jwt", kid: "idp" }, claims);
}

const asIs = (bytes: Buffer) => bytes;
const ask = (client: Client, path: string, bytes: Buffer) =>
  new Promise<ReturnType<typeof effectOf>>((done, fail) => {
    client.makeUnaryRequest(path, asIs, asIs, bytes, (error, answer) => {
      if (error || answer === undefined) fail(error ?? new Error("no answer"));
      else done(effectOf(answer));
    });
  });

describe.each(["http2", "grpc-js"] as const)("%s", (stack) => {
  it("a call is judged and carries its credential; a list is filtered, also by another replica; nothing is a gRPC error", async () => {
    const [one, other] = stack === "http2" ? replicas : replicas.toReversed();
    if (one === undefined || other === undefined) throw new Error("no replicas");
    const headers = clientHeaders(tokenOf("alice", ["engineering"]));
    const of = (name: string, args: object = {}) =>
      mcpRequest({ services: ["demo"], headers, params: { name, arguments: args } });
    expect(await ask(one, PATHS.request, of("echo"))).toMatchObject({
      kind: "pass",
      set: { authorization: "Bearer canary-pat" },
    });
    expect(await ask(one, PATHS.request, of("nobody-has-this"))).toMatchObject({
      message: "Not allowed",
      data: { reason: "policy_denied" },
    });
    const asked = await ask(one, PATHS.request, mcpRequest({ services: ["demo"], method: "tools/list", headers }));
    const metadata = { mcp_authz: asked.kind === "pass" ? asked.ticket : "" };
    const result = { tools: [{ name: "echo" }, { name: "nobody-has-this" }] };
    const listed = await ask(other, PATHS.response, mcpResponse({ services: ["demo"], result, metadata }));
    expect(listed).toMatchObject({ kind: "mutated", json: { tools: [{ name: "echo" }] } });
    for (const bytes of [Buffer.alloc(0), Buffer.from("garbage"), mcpRequest({ services: ["nobody"], headers })])
      for (const path of Object.values(PATHS)) expect(await ask(one, path, bytes)).toMatchObject({ kind: "error" });
    const lines = readFileSync(join(folder, `${stack}.jsonl`), "utf8");
    expect(lines).toContain('"alice"');
    expect(lines).not.toContain("canary-pat");
  });
});
