// AuthZEN on serve as it is wired: who may ask, what is answered, and that it is what ext_authz answers for the same facts.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { startServe, type Serve } from "../../src/app/serve/serve.ts";
import { loadConfig } from "../../src/config/load.ts";
import { createLog } from "../../src/ops/log.ts";
import { checkMessage, codecs, FULL_PROTO } from "../fakes/check-request.ts";
import { makeCa, makeLeaf, type Pair } from "../fakes/certificates.ts";
import { firstHandover } from "../fakes/handover.ts";
import { compact, makeKey, startIssuer, type FakeIssuer } from "../fakes/issuer.ts";
import { noOpa } from "../fakes/opa.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-authzen-"));
const key = makeKey("idp");
const now = () => Math.floor(Date.now() / 1000);
let idp: FakeIssuer;
let serve: Serve;
/** With client certificates. */
let guarded: Serve;
let ca: Pair;

beforeAll(async () => {
  idp = await startIssuer(key);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeFileSync(join(folder, "w.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  writeFileSync(join(folder, "pat"), "ghp_secret", { mode: 0o600 });
  writeFileSync(join(folder, "revoked.jsonl"), `${JSON.stringify({ iss: idp.issuer, sub: "mallory", before: 2e9 })}\n`);
  ca = makeCa(folder, "ca");
  makeLeaf(folder, { name: "own", san: "IP:127.0.0.1", ca });
  makeLeaf(folder, { name: "pep", san: "DNS:pep.example.com", ca });
  makeLeaf(folder, { name: "other", san: "DNS:other.example.com", ca });
  serve = await start("plain", {});
  const tls = { certFile: "own.pem", keyFile: "own.key", clientCaFile: "ca.pem", clientSans: ["pep.example.com"] };
  guarded = await start("guarded", { tls: { authzen: tls } });
}, 60_000); // openssl, several times
afterAll(async () => {
  await Promise.all([serve.stop(), guarded.stop(), idp.close()]);
  rmSync(folder, { recursive: true, force: true });
});

async function start(name: string, more: object): Promise<Serve> {
  const server = { url: "http://127.0.0.1:1/mcp", callRouting: "direct", credential: [{ static: { file: "pat" } }] };
  const exchange = { tokenEndpoint: "http://127.0.0.1:1/token", profile: "rfc8693", audience: "x", scope: "y" };
  const client = { id: "gw", secret: { file: "pat" } };
  const text = stringify({
    publicOrigin: "https://gw.example.com",
    listen: { authz: "127.0.0.1:0", ops: "127.0.0.1:0", authzen: "127.0.0.1:0" },
    authzen: { origin: "https://pdp.example.com" },
    drainMs: 10,
    audit: { file: `${name}.jsonl` },
    identity: {
      issuers: [{ issuer: idp.issuer, audiences: ["a"], algorithms: ["ES256"] }],
      revocationFile: "revoked.jsonl",
    },
    policy: { path: resolve(import.meta.dirname, "../../policies/demo") },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
    catalog: { url: "http://127.0.0.1:1/catalog" },
    servers: { demo: server, tickets: { ...server, credential: [{ exchange: { ...exchange, client } }] } },
    ...more,
  });
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, text);
  const { config } = loadConfig(file, {});
  const log = createLog(() => {}, "error", Date.now);
  return startServe({ config, reread: () => config, log, findOpa: noOpa, handover: firstHandover(), tell: () => {} });
}

function token(claims: object): string {
  const all = { iss: idp.issuer, aud: "a", iat: now() - 1, exp: now() + 600, jti: "j", client_id: "c", ...claims };
  return compact(key, { alg: "ES256", kid: "idp", typ: "at+jwt" }, all);
}
const pep = () => token({ sub: "pep", scope: "authzen", groups: [] });

interface Posted {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function post(
  body: unknown,
  more: { path?: string; bearer?: string | null; headers?: Record<string, string> } = {},
) {
  const { path = "/access/v1/evaluation", bearer = pep(), headers = {} } = more;
  const response = await fetch(`http://127.0.0.1:${serve.authzenPort}${path}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(bearer !== null && { authorization: `Bearer ${bearer}` }),
      ...headers,
    },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const posted: Posted = {
    ...{ status: response.status, headers: response.headers },
    body: JSON.parse(await response.text()) as Posted["body"],
  };
  return posted;
}

const alice = { type: "user", id: "alice", properties: { groups: ["engineering"] } };
const call = { name: "tools/call" };
const tool = (id: string, properties: object = { server: "demo" }) => ({ type: "tool", id, properties });
const echo = { subject: alice, action: call, resource: tool("echo") };
const auditLines = (name = "plain") =>
  readFileSync(join(folder, `${name}.jsonl`), "utf8")
    .split("\n")
    .filter((line) => line.endsWith("}"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** The audit line of one request: that of a refusal is written after its answer has left. */
async function lineWith(field: "request_id" | "mesh_request_id", id: unknown): Promise<Record<string, unknown>> {
  const find = () => auditLines().find((line) => line[field] === id);
  await expect.poll(find).toBeDefined();
  return find() ?? {};
}
const lineOf = ({ body }: Posted) => {
  const context = (body["context"] ?? {}) as Record<string, unknown>;
  return lineWith("request_id", context["request_id"] ?? body["requestId"]);
};

describe("an evaluation", () => {
  it("is true for what policy allows, with its request id, and gives no credential and no wristband", async () => {
    const posted = await post(echo, { headers: { "x-request-id": "r-1" } });
    const { status, body, headers } = posted;
    expect([status, headers.get("x-request-id"), headers.get("cache-control")]).toEqual([200, "r-1", "no-store"]);
    expect(body).toEqual({
      decision: true,
      context: { request_id: expect.any(String) as string, credential: "static" },
    });
    expect(JSON.stringify(body)).not.toContain("ghp_secret");
    expect(await lineOf(posted)).toMatchObject({
      ...{ door: "authzen", asked_by: `${idp.issuer} pep`, decision: "allow", issuer: idp.issuer, subject: "alice" },
      ...{ server: "demo", method: "tools/call", name: "echo", mesh_request_id: "r-1", wristband: null },
      request_id: (body["context"] as { request_id: string }).request_id,
    });
  });

  it.each<[string, object, string]>([
    ["another caller", { subject: { type: "user", id: "bob", properties: { groups: ["finance"] } } }, "policy_denied"],
    ["a caller without facts", { subject: { type: "user", id: "bob" } }, "policy_denied"],
    ["a tool that is not granted", { resource: tool("delete_everything") }, "policy_denied"],
    ["an unknown server", { resource: tool("echo", { server: "nobody" }) }, "route_unknown"],
    ["a server by a path", { resource: tool("echo", { server: "../mcp" }) }, "route_unknown"],
    ["an unknown method", { action: { name: "tools/destroy" } }, "method_unknown"],
    [
      "a scope that is missing",
      { resource: tool("transfer", { server: "demo", arguments: { amount: 5 } }) },
      "scope_insufficient",
    ],
    [
      "an issuer that is not ours",
      { subject: { ...alice, properties: { ...alice.properties, issuer: "https://evil.example" } } },
      "token_invalid",
    ],
    [
      "an issuer of our own making",
      { subject: { ...alice, properties: { ...alice.properties, issuer: "urn:mcp-authz:api-key" } } },
      "token_invalid",
    ],
    ["a revoked caller", { subject: { ...alice, id: "mallory" } }, "token_revoked"],
    [
      "claims of another subject",
      { subject: { type: "user", id: "alice", properties: { claims: { sub: "bob" } } } },
      "token_invalid",
    ],
    [
      "claims of another issuer",
      { subject: { type: "user", id: "alice", properties: { claims: { iss: "https://evil.example" } } } },
      "token_invalid",
    ],
    [
      "claims that have expired",
      { subject: { type: "user", id: "alice", properties: { claims: { exp: 1_700_000_000 } } } },
      "token_expired",
    ],
    [
      "claims for others",
      { subject: { type: "user", id: "alice", properties: { claims: { aud: "elsewhere" } } } },
      "token_audience",
    ],
    [
      "facts that are said twice",
      { subject: { type: "user", id: "alice", properties: { claims: {}, groups: ["engineering"] } } },
      "token_invalid",
    ],
    [
      "groups that are no list",
      { subject: { type: "user", id: "alice", properties: { groups: { engineering: true } } } },
      "token_invalid",
    ],
  ])("is false for %s", async (_, more, reason) => {
    const posted = await post({ ...echo, ...more });
    const { status, body } = posted;
    expect([status, body["decision"]]).toEqual([200, false]);
    expect(body["context"]).toMatchObject({ reason, reason_user: { en: expect.any(String) as string } });
    expect(await lineOf(posted)).toMatchObject({ door: "authzen", reason, wristband: null });
  });

  it("a request id that could not stand in a log comes back nowhere", async () => {
    for (const id of ["a b", "x".repeat(129)]) {
      const posted = await post(echo, { headers: { "x-request-id": id } });
      expect(posted.headers.get("x-request-id")).toBeNull();
      expect(await lineOf(posted)).toMatchObject({ mesh_request_id: null });
    }
  });

  it("a scope that is missing is named", async () => {
    const { body } = await post({ ...echo, resource: tool("transfer", { server: "demo", arguments: { amount: 5 } }) });
    expect(body["context"]).toMatchObject({ scopes: ["mcp:write"] });
  });

  it("a credential that needs the caller's own token is not tried", async () => {
    const { body } = await post({ ...echo, resource: tool("echo", { server: "tickets" }) });
    expect(body).toMatchObject({ decision: true, context: { credential: "not_tried" } });
  });

  it("the subject is judged, never the bearer: her groups are not his", async () => {
    const bearer = token({ sub: "pep", scope: "authzen mcp:write", groups: ["engineering"] });
    const { body } = await post({ ...echo, subject: { type: "user", id: "bob" } }, { bearer });
    expect(body).toMatchObject({ decision: false, context: { reason: "policy_denied" } });
    const other = await post(
      { ...echo, resource: tool("transfer", { server: "demo", arguments: { amount: 5 } }) },
      { bearer },
    );
    expect(other.body).toMatchObject({ decision: false, context: { reason: "scope_insufficient" } });
  });
});

describe("who may not ask", () => {
  it.each<[string, () => string | null, number, string]>([
    ["nobody", () => null, 401, "token_missing"],
    ["a caller without the scope", () => token({ sub: "pep", scope: "mcp:write" }), 403, "scope_insufficient"],
    ["a scope that only begins so", () => token({ sub: "pep", scope: "authzen2 xauthzen" }), 403, "scope_insufficient"],
    [
      "one that has expired",
      () => token({ sub: "pep", scope: "authzen", iat: now() - 900, exp: now() - 300 }),
      401,
      "token_expired",
    ],
    ["one for others", () => token({ sub: "pep", scope: "authzen", aud: "elsewhere" }), 401, "token_audience"],
    ["one that is revoked", () => token({ sub: "mallory", scope: "authzen" }), 401, "token_revoked"],
    [
      "one of another key",
      () =>
        compact(
          makeKey("idp"),
          { alg: "ES256", kid: "idp", typ: "at+jwt" },
          {
            iss: idp.issuer,
            sub: "pep",
            aud: "a",
            scope: "authzen",
            iat: now(),
            exp: now() + 60,
            jti: "j",
            client_id: "c",
          },
        ),
      401,
      "token_invalid",
    ],
    ["a text that is no token", () => "authzen", 401, "token_invalid"],
  ])("%s", async (_, bearer, status, reason) => {
    const posted = await post(echo, { bearer: bearer() });
    expect([posted.status, posted.body["error"]]).toEqual([status, reason]);
    expect(posted.headers.get("www-authenticate")).toMatch(/^Bearer realm="https:\/\/pdp\.example\.com"/);
    expect(posted.headers.get("www-authenticate")).not.toContain("resource_metadata");
    expect(posted.body).not.toHaveProperty("decision");
    expect(await lineOf(posted)).toMatchObject({ door: "authzen", reason, subject: null });
  });

  it.each<[string, () => string, number, string]>([
    ["a user and a password", () => `Basic ${Buffer.from("pep:secret").toString("base64")}`, 401, "token_missing"],
    ["a token with another scheme", () => `DPoP ${pep()}`, 401, "token_missing"],
    ["a token beyond the limit", () => `Bearer ${"x".repeat(16 * 1024)}`, 431, "header_too_large"],
    ["a bearer without a token", () => "Bearer", 401, "token_invalid"],
    ["a token and more", () => `Bearer ${pep()} x`, 401, "token_invalid"],
    ["two tokens", () => `Bearer ${pep()}, Bearer ${pep()}`, 400, "header_malformed"],
  ])("%s, as at a Check", async (_, authorization, status, reason) => {
    const posted = await post(echo, { bearer: null, headers: { authorization: authorization() } });
    expect([posted.status, posted.body["error"]]).toEqual([status, reason]);
    expect(posted.body).not.toHaveProperty("decision");
    expect(await lineOf(posted)).toMatchObject({ door: "authzen", reason, subject: null });
  });

  it.each([
    ["nobody", null, 401, 'Bearer realm="https://pdp.example.com", scope="authzen"'],
    ["another scheme", "Basic cGVwOng=", 401, 'Bearer realm="https://pdp.example.com", scope="authzen"'],
    ["no token", "Bearer x", 401, 'Bearer realm="https://pdp.example.com", error="invalid_token", scope="authzen"'],
    [
      "a caller without the scope",
      () => `Bearer ${token({ sub: "pep" })}`,
      403,
      'Bearer realm="https://pdp.example.com", error="insufficient_scope", scope="authzen"',
    ],
  ])("%s gets a challenge without a document", async (_, shown, status, challenged) => {
    const authorization = typeof shown === "function" ? shown() : shown;
    const headers = authorization === null ? {} : { authorization };
    const posted = await post(echo, { bearer: null, headers });
    expect([posted.status, posted.headers.get("www-authenticate")]).toEqual([status, challenged]);
  });

  it("a token for this decision point by its own name may", async () => {
    const bearer = token({ sub: "pep", scope: "authzen", aud: "https://pdp.example.com" });
    expect((await post(echo, { bearer })).body).toMatchObject({ decision: true });
  });
});

describe("what is refused as a whole", () => {
  const deep = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  it.each<[string, string, number, string]>([
    ["no JSON", "{", 400, "body_malformed"],
    ["a list", "[]", 400, "body_malformed"],
    [
      "a name that comes twice",
      `{"subject":{"type":"user","id":"bob","id":"alice"},"action":{"name":"tools/call"},"resource":{}}`,
      400,
      "body_malformed",
    ],
    [
      "a name that comes twice in another case",
      `{"subject":{},"Subject":{},"action":{},"resource":{}}`,
      400,
      "body_malformed",
    ],
    ["a deep value", `{"context":${deep(5000)}}`, 400, "body_malformed"],
    ["a lone surrogate", `{"subject":{"type":"user","id":"\\ud800"}}`, 400, "body_malformed"],
    ["too many members", `{"context":[${"0,".repeat(10_001)}0]}`, 400, "body_malformed"],
    ["too much", `{"context":"${"x".repeat(300_000)}"}`, 413, "body_too_large"],
    ["a list of evaluations for one", `{"evaluations":[]}`, 400, "params_invalid"],
  ])("%s", async (_, body, status, reason) => {
    const posted = await post(body);
    expect([posted.status, posted.body["error"]]).toEqual([status, reason]);
    expect(posted.body).not.toHaveProperty("decision");
  });

  it.each<[string, string, number, string]>([
    ["10,000 evaluations", `{"evaluations":[${"{},".repeat(9_998)}{}]}`, 413, "body_too_large"],
    ["257 evaluations", `{"evaluations":[${"{},".repeat(256)}{}]}`, 413, "body_too_large"],
    ["evaluations that are none", `{"evaluations":[1]}`, 400, "params_invalid"],
    ["evaluations in an object", `{"evaluations":{"0":{}}}`, 400, "params_invalid"],
    [
      "an unknown semantic",
      `{"evaluations":[{}],"options":{"evaluations_semantic":"permit_all"}}`,
      400,
      "params_invalid",
    ],
  ])("%s", async (_, body, status, reason) => {
    const posted = await post(body, { path: "/access/v1/evaluations" });
    expect([posted.status, posted.body["error"]]).toEqual([status, reason]);
  });

  it("another media type, path or method", async () => {
    expect((await post(echo, { headers: { "content-type": "text/plain" } })).status).toBe(415);
    expect((await post(echo, { headers: { "content-encoding": "gzip" } })).status).toBe(415);
    expect((await post(echo, { path: "/access/v1/evaluation/" })).status).toBe(404);
    expect((await post(echo, { path: "/access/v1/evaluation?x=1" })).status).toBe(404);
    expect((await post(echo, { path: "/mcp" })).status).toBe(404);
    const got = await fetch(`http://127.0.0.1:${serve.authzenPort}/access/v1/evaluation`);
    expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"]);
  });

  it.each<[string, object]>([
    ["no subject", { subject: undefined }],
    ["a subject of another type", { subject: { type: "admin", id: "alice" } }],
    ["an id that is a number", { subject: { type: "user", id: 1 } }],
    ["no id", { subject: { type: "user", id: "" } }],
    ["no action", { action: undefined }],
    ["a resource of another type than the action's", { resource: { ...tool("echo"), type: "prompt" } }],
    [
      "arguments that are said twice",
      {
        action: { name: "tools/call", properties: { arguments: {} } },
        resource: tool("echo", { server: "demo", arguments: {} }),
      },
    ],
    ["arguments that are a list", { resource: tool("echo", { server: "demo", arguments: [1] }) }],
    ["a server that is no text", { resource: tool("echo", { server: ["demo"] }) }],
    ["a context that is a text", { context: "x" }],
    ["headers with a list", { context: { headers: { a: ["b"] } } }],
  ])("%s: false, and its sender is told what is wrong", async (_, more) => {
    const { body } = await post({ ...echo, ...more });
    expect(body).toMatchObject({
      decision: false,
      context: { reason: "params_invalid", about: expect.any(String) as string },
    });
  });
});

describe("many evaluations", () => {
  const path = "/access/v1/evaluations";
  const decisions = ({ body }: Posted) =>
    (body["evaluations"] as { decision: boolean }[]).map(({ decision }) => decision);
  const [yes, no] = [{ resource: tool("echo") }, { resource: tool("nope") }];
  const many = { subject: alice, action: call };

  it.each<[string, readonly object[], readonly boolean[]]>([
    ["execute_all", [yes, no, yes, no], [true, false, true, false]],
    ["deny_on_first_deny", [yes, no, yes], [true, false]],
    ["deny_on_first_deny", [yes, yes], [true, true]],
    ["permit_on_first_permit", [no, yes, no], [false, true]],
    ["permit_on_first_permit", [no, no], [false, false]],
  ])("%s, in order", async (semantic, evaluations, expected) => {
    const options = { evaluations_semantic: semantic };
    expect(decisions(await post({ ...many, options, evaluations }, { path }))).toEqual(expected);
  });

  it("a fault ends what ends at a deny", async () => {
    const options = { evaluations_semantic: "deny_on_first_deny" };
    const evaluations = [{ resource: tool("echo", { server: "nobody" }) }, yes];
    expect(decisions(await post({ ...many, options, evaluations }, { path }))).toEqual([false]);
  });

  it("whole members of an evaluation stand in for the defaults, and no member of a default seeps in", async () => {
    const bob = { type: "user", id: "bob" };
    const evaluations = [yes, { ...yes, subject: bob }, { resource: { type: "tool", id: "echo" } }];
    const posted = await post({ ...many, resource: tool("echo"), evaluations: [...evaluations, {}] }, { path });
    expect(decisions(posted)).toEqual([true, false, false, true]);
  });

  it("without a list it is one evaluation", async () => {
    expect((await post(echo, { path })).body).toMatchObject({ decision: true });
    expect((await post({ ...echo, evaluations: [] }, { path })).body).toMatchObject({ decision: true });
  });

  it("each has an audit line and a request id of its own", async () => {
    const before = auditLines().length;
    const posted = await post({ ...many, evaluations: Array.from({ length: 20 }, () => yes) }, { path });
    const ids = (posted.body["evaluations"] as { context: { request_id: string } }[]).map(
      ({ context }) => context.request_id,
    );
    expect(new Set(ids).size).toBe(20);
    expect(
      new Set(
        auditLines()
          .slice(before)
          .map((line) => line["request_id"]),
      ),
    ).toEqual(new Set(ids));
  });
});

describe("certificates", () => {
  const send = (name: string | null, bearer?: string, scheme = "Bearer") =>
    new Promise<{ status: number; text: string }>((done) => {
      const pair =
        name === null
          ? {}
          : { cert: readFileSync(join(folder, `${name}.pem`)), key: readFileSync(join(folder, `${name}.key`)) };
      const headers = {
        "content-type": "application/json",
        ...(bearer !== undefined && { authorization: `${scheme} ${bearer}` }),
      };
      const to = { host: "127.0.0.1", port: guarded.authzenPort ?? 0, path: "/access/v1/evaluation", method: "POST" };
      const sent = httpsRequest({ ...to, headers, ca: ca.cert, agent: false, ...pair }, (response) => {
        let text = "";
        response
          .on("data", (part: Buffer) => (text += part.toString()))
          .on("end", () => done({ status: response.statusCode ?? 0, text }));
      });
      sent.on("error", () => done({ status: 0, text: "" })).end(JSON.stringify(echo));
    });

  it("the expected name may ask, and stands in the audit line", async () => {
    expect(JSON.parse((await send("pep")).text)).toMatchObject({ decision: true });
    expect(auditLines("guarded").find((line) => line["decision"] === "allow")).toMatchObject({
      asked_by: "DNS:pep.example.com",
    });
  });
  it("another's name may not, whatever token it brings", async () => {
    for (const bearer of [undefined, pep()]) {
      const { status, text } = await send("other", bearer);
      expect([status, (JSON.parse(text) as { error: string }).error]).toEqual([401, "token_invalid"]);
    }
  });
  it("none may not, whatever token it brings", async () => expect((await send(null, pep())).status).toBe(0));
  it("a token beside it must be good", async () => {
    expect((await send("pep", token({ sub: "x", scope: "none" }))).status).toBe(403);
    expect((await send("pep", pep())).status).toBe(200);
  });
  it("what is no token does not count as nothing beside it", async () => {
    for (const [shown, scheme, status] of [
      ["cGVwOng=", "Basic", 401],
      [pep(), "DPoP", 401],
      ["x".repeat(16 * 1024), "Bearer", 431],
    ] as const)
      expect((await send("pep", shown, scheme)).status).toBe(status);
  });
});

it("its metadata names the endpoints, by the configured origin alone", async () => {
  const response = await fetch(`http://127.0.0.1:${serve.authzenPort}/.well-known/authzen-configuration`, {
    headers: { host: "evil.example" },
  });
  expect(await response.json()).toEqual({
    policy_decision_point: "https://pdp.example.com",
    access_evaluation_endpoint: "https://pdp.example.com/access/v1/evaluation",
    access_evaluations_endpoint: "https://pdp.example.com/access/v1/evaluations",
  });
});

describe("the same facts get the same answer as over ext_authz", () => {
  const { request, response } = codecs(FULL_PROTO);
  async function check(claims: object, message: object, server: string) {
    const id = randomUUID();
    const client = new Client(`127.0.0.1:${serve.authzPort}`, credentials.createInsecure());
    const headers = {
      authorization: `Bearer ${token(claims)}`,
      "mcp-protocol-version": "2025-11-25",
      "x-request-id": id,
    };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, ...message });
    const bytes = request.encode(checkMessage({ path: `/servers/${server}/mcp`, headers, body, form: "list" }));
    const same = (one: Buffer) => one;
    await new Promise<Buffer>((done, fail) => {
      client.makeUnaryRequest("/envoy.service.auth.v3.Authorization/Check", same, same, bytes, (error, value) =>
        error === null && value !== undefined ? done(value) : fail(error ?? new Error("nothing")),
      );
    }).then((value) => response.decode(value));
    client.close();
    const { decision, reason, note, policy } = await lineWith("mesh_request_id", id);
    return { decision, reason, note, policy };
  }

  it.each<[object, string, object]>([
    [{ sub: "alice", groups: ["engineering"] }, "echo", {}],
    [{ sub: "alice", groups: ["engineering"] }, "nope", {}],
    [{ sub: "alice", groups: ["engineering"] }, "transfer", { amount: 5 }],
    [{ sub: "alice", groups: ["engineering"], scope: "mcp:write" }, "transfer", { amount: 5 }],
    [{ sub: "alice", groups: ["engineering"], scope: "mcp:write" }, "transfer", { amount: 5000 }],
    [{ sub: "bob", groups: "engineering" }, "search_docs", { q: "x" }],
    [{ sub: "bob", groups: 7 }, "echo", {}],
    [{ sub: "mallory", groups: ["engineering"] }, "echo", {}],
    [{ sub: "bob", _claim_names: { groups: "x" } }, "echo", {}],
    [{ sub: "alice", groups: ["engineering"], aud: "elsewhere" }, "echo", {}],
    [
      { sub: "alice", groups: ["engineering"], aud: ["elsewhere", "https://gw.example.com/servers/demo/mcp"] },
      "echo",
      {},
    ],
    [{ sub: "alice", groups: ["engineering"], iat: now() - 900, exp: now() - 300 }, "echo", {}],
    [{ sub: "alice", groups: ["engineering"], nbf: now() + 300 }, "echo", {}],
    [{ sub: "mallory", groups: ["engineering"], aud: "elsewhere" }, "echo", {}],
    [{ sub: "mallory", groups: ["engineering"], iat: now() - 900, exp: now() - 300 }, "echo", {}],
  ])("%j %s %j", async (claims, name, args) => {
    const params = { name, arguments: args };
    const expected = await check(claims, { method: "tools/call", params }, "demo");
    const subject = { type: "user", id: (claims as { sub: string }).sub, properties: { claims } };
    const posted = await post({ subject, action: call, resource: tool(name, { server: "demo", arguments: args }) });
    expect(await lineOf(posted)).toMatchObject({ ...expected, door: "authzen" });
  });
});
