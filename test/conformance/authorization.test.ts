// The resource server's side of authorization and what a transport must refuse, for which the suite has no scenarios.
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isMissing } from "./expectations.ts";
import { startConformanceLab, type ConformanceLab } from "./lab.ts";
import { modernRequest, send, withHeaders, type Reply, type Sent } from "./raw.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-conformance-"));
const PATH = "/servers/fixture/mcp";
const LIST = { jsonrpc: "2.0", id: 1, method: "tools/list", params: {} };
let lab: ConformanceLab;
let gateway: string;
let alice: string;

beforeAll(async () => {
  lab = await startConformanceLab(folder);
  gateway = lab.lab.gateway;
  alice = await lab.lab.idp.mint("alice");
});
afterAll(async () => {
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

const at = (sent: Sent, { path = PATH, authorization }: { path?: string; authorization?: string } = {}) =>
  send(gateway + path, authorization === undefined ? sent : withHeaders(sent, { authorization }));
const asAlice = (sent: Sent, path = PATH) => at(sent, { path, authorization: `Bearer ${alice}` });
const challengeOf = ({ headers }: Reply): string => headers.get("www-authenticate") ?? "";

describe("without a token", () => {
  let reply: Reply;
  beforeAll(async () => {
    reply = await at({ body: LIST });
  });

  it("is 401 with JSON", () => expect([reply.status, reply.message?.error]).toEqual([401, expect.anything()]));
  it("challenges for a Bearer token and says no error", () => {
    expect(challengeOf(reply)).toMatch(/^Bearer /);
    expect(challengeOf(reply)).not.toContain("error=");
  });
  it("names the metadata of this path", () =>
    expect(challengeOf(reply)).toContain(`resource_metadata="${gateway}/.well-known/oauth-protected-resource${PATH}"`));
  it("names scopes", () => expect(challengeOf(reply)).toMatch(/scope="[^"]+"/));
});

describe.each([
  ["of a server", PATH, PATH],
  ["of /mcp", "/mcp", "/mcp"],
  ["at the root", "", "/mcp"],
])("protected resource metadata %s", (_, suffix, resource) => {
  let reply: Reply;
  let metadata: Readonly<Record<string, unknown>>;
  beforeAll(async () => {
    reply = await at({ method: "GET" }, { path: `/.well-known/oauth-protected-resource${suffix}` });
    metadata = JSON.parse(reply.text) as Readonly<Record<string, unknown>>;
  });

  it("is JSON under 200", () =>
    expect([reply.status, reply.headers.get("content-type")]).toEqual([
      200,
      expect.stringMatching(/^application\/json/),
    ]));
  it("names its resource", () => expect(metadata["resource"]).toBe(gateway + resource));
  it("names authorization servers", () =>
    expect((metadata["authorization_servers"] as string[]).every((each) => URL.canParse(each))).toBe(true));
  it("has scopes, wants the header, and every origin may read it", () => {
    expect(metadata["scopes_supported"]).toEqual(expect.arrayContaining(["mcp:read"]));
    expect(metadata["bearer_methods_supported"]).toEqual(["header"]);
    expect(reply.headers.get("access-control-allow-origin")).toBe("*");
  });
});

it("metadata of a server that is not there is 404", async () => {
  const path = "/.well-known/oauth-protected-resource/servers/nobody/mcp";
  expect((await at({ method: "GET" }, { path })).status).toBe(404);
});

it.each(["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"])(
  "%s is 404: we are no authorization server",
  async (path) => expect((await at({ method: "GET" }, { path })).status).toBe(404),
);

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Tokens that are none, made of alice's own. */
const BAD: Readonly<Record<string, () => string | Promise<string>>> = {
  "no token but a word": () => "Bearer garbage",
  "an empty one": () => "Bearer ",
  "one without a scheme": () => alice,
  "another scheme": () => `Basic ${Buffer.from("a:b").toString("base64")}`,
  "alg none": () => {
    const [head = "", claims = ""] = alice.split(".");
    const header = JSON.parse(Buffer.from(head, "base64url").toString()) as object;
    return `Bearer ${part({ ...header, alg: "none" })}.${claims}.`;
  },
  "no signature": () => `Bearer ${alice.split(".").slice(0, 2).join(".")}.`,
  "another key under the same kid": () => {
    const signed = alice.split(".").slice(0, 2).join(".");
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const signature = sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return `Bearer ${signed}.${signature.toString("base64url")}`;
  },
  "HS256 over the same claims": () => {
    const [head = "", claims = ""] = alice.split(".");
    const header = part({ ...(JSON.parse(Buffer.from(head, "base64url").toString()) as object), alg: "HS256" });
    return `Bearer ${header}.${claims}.${createHmac("sha256", "x").update(`${header}.${claims}`).digest("base64url")}`;
  },
  "another subject under the same signature": () => {
    const [head = "", claims = "", signature = ""] = alice.split(".");
    const changed = { ...(JSON.parse(Buffer.from(claims, "base64url").toString()) as object), sub: "root" };
    return `Bearer ${head}.${part(changed)}.${signature}`;
  },
  "another audience": async () =>
    `Bearer ${await lab.lab.idp.mint("alice", { audience: "https://other.example.com" })}`,
  "an expired one": async () => `Bearer ${await lab.lab.idp.mint("alice", { ttlSeconds: -3600 })}`,
};

it.each(Object.entries(BAD))("%s is 401 with a challenge", async (_, make) => {
  const reply = await at({ body: LIST }, { authorization: await make() });
  expect(reply.status).toBe(401);
  expect(challengeOf(reply)).toMatch(/^Bearer .*resource_metadata=/);
});

it("a token that is none is an invalid_token", async () => {
  const reply = await at({ body: LIST }, { authorization: "Bearer garbage" });
  expect(challengeOf(reply)).toContain('error="invalid_token"');
});

it("a scheme in another case is the same scheme", async () =>
  expect((await at({ body: LIST }, { authorization: `bearer ${alice}` })).status).toBe(200));

it("a token in the query is no token", async () => {
  const { status } = await at({ body: LIST }, { path: `${PATH}?access_token=${alice}` });
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(500);
});

describe.each([
  ["a tool", "tools/call", { name: "test_audio_content", arguments: {} }],
  ["a resource", "resources/read", { uri: "test://static-binary" }],
  ["a prompt", "prompts/get", { name: "test_prompt_with_image" }],
])("%s that needs a scope", (_, method, params) => {
  it("is 403 with the scope to ask for and where", async () => {
    const authorization = `Bearer ${await lab.lab.idp.mint("alice", { scope: "mcp:read" })}`;
    const reply = await at(modernRequest(method, params), { authorization });
    expect(reply.status).toBe(403);
    for (const words of ['error="insufficient_scope"', 'scope="mcp:write"', 'resource_metadata="'])
      expect(challengeOf(reply)).toContain(words);
  });

  it("is answered to who has it", async () => {
    const reply = await asAlice(modernRequest(method, params));
    expect([reply.status, reply.message?.result]).toEqual([200, expect.anything()]);
  });
});

describe("the transport", () => {
  it.each(["GET", "DELETE", "PUT", "HEAD"])("%s of a server without sessions is 405 with Allow", async (method) => {
    const reply = await asAlice({ method }, "/servers/direct/mcp");
    expect([reply.status, reply.headers.get("allow")]).toEqual([405, expect.stringContaining("POST")]);
  });

  it.each(["GET", "DELETE", "PUT", "HEAD"])("%s without a session is refused", async (method) => {
    const { status } = await asAlice({ method });
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
  });

  it("a batch is 400 with a JSON-RPC error", async () => {
    const reply = await asAlice({ body: [LIST, { ...LIST, id: 2 }] });
    expect([reply.status, reply.message?.error]).toEqual([400, expect.anything()]);
  });

  it.each(["invalid", "2000-01-01", "2099-01-01"])("revision %s is 400", async (version) => {
    const reply = await asAlice({ headers: { "mcp-protocol-version": version }, body: LIST });
    expect(reply.status).toBe(400);
  });

  it("a foreign Origin is 403", async () =>
    expect((await asAlice({ headers: { origin: "http://evil.example" }, body: LIST })).status).toBe(403));

  it("a notification is 202 and empty", async () => {
    const reply = await asAlice({ body: { jsonrpc: "2.0", method: "notifications/initialized" } });
    expect([reply.status, reply.text]).toEqual([202, ""]);
  });

  it("broken JSON is 400 and -32700", async () => {
    const reply = await asAlice({ body: '{"jsonrpc": ' });
    expect([reply.status, reply.message?.error?.code]).toEqual([400, -32700]);
  });

  it("a member that comes twice is 400", async () =>
    expect((await asAlice({ body: '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}' })).status).toBe(
      400,
    ));

  const stray = "a JSON-RPC response, to a request that nobody asked, is accepted and goes nowhere";
  (isMissing("authorization", stray) ? it.fails : it)(stray, async () => {
    const before = lab.fixture.arrivals.length;
    const reply = await asAlice({ body: { jsonrpc: "2.0", id: 1, result: {} } });
    expect([reply.status, reply.text]).toEqual([202, ""]);
    expect(lab.fixture.arrivals.length).toBe(before);
  });
});
