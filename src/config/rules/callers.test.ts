import { hash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigError, loadConfig, type Config } from "../load.ts";
import { serversOfKey } from "../callers.ts";
import { withLiveKeys } from "../live.ts";
import { managedOf } from "../settings.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-callers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sha = (text: string) => hash("sha256", text);
const key = (more: object = {}) => ({ name: "job", sha256: sha("a".repeat(43)), ...more });
const server = (more: object = {}) => ({ url: "http://127.0.0.1:9100/mcp", credential: [{ none: {} }], ...more });

interface File {
  readonly identity?: object;
  readonly [key: string]: unknown;
}

function load({ identity = {}, ...more }: File) {
  const file = join(folder, "mcp-authz.yaml");
  const base = {
    publicOrigin: "https://gw.example.com",
    identity: {
      issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }],
      ...identity,
    },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
    servers: { demo: server(), other: server() },
  };
  writeFileSync(file, stringify({ ...base, ...more }));
  return loadConfig(file, { T: "t" });
}

function problems(file: File): string {
  try {
    load(file);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((p) => `${p.key}: ${p.message}`).join("\n");
    throw error;
  }
  return "";
}

const withKeys = (...apiKeys: object[]) => ({ identity: { apiKeys } });
const opened = ({ servers, identity }: Config) =>
  identity.apiKeys.map((one) => [...serversOfKey({ servers, identity }, one)]);

describe("keys of the configuration", () => {
  it.each<[string, File, string]>([
    ["a good key", withKeys(key()), ""],
    ["the key itself", withKeys(key({ sha256: "a".repeat(43) })), "the key itself is not for files"],
    ["two of one name", withKeys(key(), key({ sha256: sha("b") })), "apiKeys[1].name: is another key's too"],
    ["one digest of two", withKeys(key(), key({ name: "b" })), "apiKeys[1].sha256: is listed twice"],
    ["the digest of nothing", withKeys(key({ sha256: sha("") })), "digest of nothing"],
    ["the digest of a line break", withKeys(key({ sha256: sha("\n") })), "digest of nothing"],
    ["no way to send it", withKeys(key({ header: null })), "cannot be sent"],
    ["authorization as its header", withKeys(key({ header: "authorization" })), "say bearer: true"],
    ["the wristband's header", withKeys(key({ header: "x-authorized-tools" })), "choose another header"],
    ["a header of MCP", withKeys(key({ header: "mcp-key" })), "choose another header"],
    ["cookie", withKeys(key({ header: "cookie" })), "choose another header"],
    ["a server that is none", withKeys(key({ servers: ["demos"] })), "demos is none of servers"],
    ["a key that is none", { servers: { demo: server({ apiKeys: ["jobs"] }) } }, "jobs is none of identity.apiKeys"],
    ["a local time", withKeys(key({ expires: "2027-01-31T00:00:00" })), "must be a time in UTC"],
    ["its header for policy", { ...withKeys(key()), policy: { path: "p", headers: ["x-api-key"] } }, "x-api-key"],
    [
      "its header for a server",
      { ...withKeys(key({ header: "x-k" })), servers: { demo: server({ passHeaders: ["x-k"] }) } },
      "written or removed",
    ],
    [
      "its alias taken",
      {
        identity: {
          apiKeys: [key()],
          issuers: [{ issuer: "https://i.example.com", audiences: ["a"], algorithms: ["ES256"], alias: "api-key" }],
        },
      },
      "stands for callers without a token",
    ],
  ])("%s", (_, file, part) => {
    if (part === "") expect(problems(file)).toBe("");
    else expect(problems(file)).toContain(part);
  });

  it.each<[string, object, object, string[]]>([
    ["nothing is said", {}, {}, ["demo", "other"]],
    ["the key names servers", { servers: ["demo"] }, {}, ["demo"]],
    ["the server names the key", {}, { apiKeys: ["job"] }, ["demo", "other"]],
    ["the server names none", {}, { apiKeys: [] }, ["other"]],
    ["both, and they differ", { servers: ["demo"] }, { apiKeys: [] }, []],
    ["the key opens nothing", { servers: [] }, { apiKeys: ["job"] }, []],
  ])("what a key opens: %s", (_, ofKey, ofServer, expected) => {
    const file = { ...withKeys(key(ofKey)), servers: { demo: server(ofServer), other: server() } };
    expect(opened(load(file).config)).toEqual([expected]);
  });

  it("a Vault path without {issuerAlias} is one place for two callers: keys count as an issuer", () => {
    const auth = { token: { env: "T" } };
    const credential = (path: string) => [{ vault: { mount: "kv", path, requireOwner: false } }];
    const file = (path: string, keys: File) => ({
      ...keys,
      ...{
        vault: { address: "http://127.0.0.1:8200", auth },
        servers: { demo: server({ credential: credential(path) }) },
      },
    });
    expect(problems(file("mcp/{username}/demo", {}))).toBe("");
    expect(problems(file("mcp/{username}/demo", withKeys(key())))).toContain("with several issuers");
    expect(problems(file("mcp/{issuerAlias}/{username}/demo", withKeys(key())))).toContain("alias: is required");
  });

  it("its header is managed; SIGHUP replaces keys", () => {
    const { config } = load(withKeys(key({ header: "x-k" })));
    expect(managedOf(config)).toContain("x-k");
    const next = load(withKeys()).config;
    expect(withLiveKeys(config, next).identity.apiKeys).toEqual([]);
  });
});

const proxy = (more: object = {}) => ({
  name: "sso",
  sans: ["spiffe://mesh/sso"],
  headers: { subject: "x-forwarded-user" },
  ...more,
});
const withProxies = (...proxies: object[]) => ({ identity: { proxies } });
const warningsOf = (file: File) =>
  load(file)
    .warnings.map((p) => `${p.key}: ${p.message}`)
    .join("\n");

describe("trusted proxies", () => {
  it.each<[string, File, string]>([
    ["a good one", withProxies(proxy()), ""],
    ["two of one name", withProxies(proxy(), proxy({ sans: ["b"] })), "proxies[1].name: is another proxy's too"],
    ["two of one certificate", withProxies(proxy(), proxy({ name: "b" })), "is listed twice"],
    ["without a certificate", withProxies(proxy({ sans: [] })), "proxies[0].sans"],
    ["without a subject", withProxies(proxy({ headers: { username: "x-user" } })), "headers.subject: is required"],
    [
      "one header for two facts",
      withProxies(proxy({ headers: { subject: "x-user", groups: "x-user" } })),
      "names a header twice",
    ],
    ...[
      "authorization",
      "cookie",
      "host",
      "x-forwarded-for",
      "x-forwarded-host",
      "x-envoy-peer",
      "mcp-user",
      "x-authorized-tools",
    ].map((name): [string, File, string] => [
      name,
      withProxies(proxy({ headers: { subject: name } })),
      "choose another header",
    ]),
    [
      "the header of a key",
      { identity: { proxies: [proxy({ headers: { subject: "x-api-key" } })], apiKeys: [key()] } },
      "choose another header",
    ],
    [
      "its headers for policy",
      { ...withProxies(proxy({ headers: { subject: "x-who" } })), policy: { path: "p", headers: ["x-who"] } },
      "x-who",
    ],
  ])("%s", (_, file, part) => {
    if (part === "") expect(problems(file)).toBe("");
    else expect(problems(file)).toContain(part);
  });

  it("its headers are managed, and an Envoy that asks for no certificate is warned of", () => {
    expect(managedOf(load(withProxies(proxy())).config)).toContain("x-forwarded-user");
    expect(warningsOf(withProxies(proxy()))).toContain("envoy.tls.listen.clientCaFile");
  });
});

describe("MS-23: the development identity", () => {
  const development = { subject: "dev" };
  const local = {
    publicOrigin: "http://localhost:8080",
    identity: { development },
    envoy: { listen: "127.0.0.1:8080" },
  };

  it("starts on loopback alone, with a warning", () => {
    expect(problems(local)).toBe("");
    expect(warningsOf(local)).toContain("DEVELOPMENT: whoever sends no credential is dev");
  });

  it.each<[string, File]>([
    ["publicOrigin", { publicOrigin: "https://gw.example.com" }],
    ["hosts", { hosts: ["gw.example.com"] }],
    ["envoy.listen", { envoy: { listen: "0.0.0.0:8080" } }],
    ["envoy.listen on another address", { envoy: { listen: "192.0.2.1:8080" } }],
    ["envoy.opsListen", { envoy: { listen: "127.0.0.1:8080", opsListen: "0.0.0.0:9901" } }],
    ["listen.authz", { listen: { authz: "0.0.0.0:9001", plaintext: true } }],
    ["listen.broker", { listen: { broker: "10.0.0.1:9002", plaintext: true } }],
  ])("and nowhere else: %s", (_, more) => {
    expect(problems({ ...local, ...more })).toContain("identity.development");
  });
});

it("the development identity does not come or go while we run: it is judged against listeners, which stay", () => {
  const dev = { identity: { development: { subject: "dev" } } };
  const local = { publicOrigin: "http://localhost:8080", envoy: { listen: "127.0.0.1:8080" } };
  const [far, near] = [load({}).config, load({ ...local, ...dev }).config];
  expect(withLiveKeys(far, near).identity.development).toBeNull();
  expect(withLiveKeys(near, far).identity.development?.subject).toBe("dev");
});

it.each([
  ["keys: [] and public", { public: true, apiKeys: [] }, "say one of both"],
  ["a stream that belongs to one caller", { public: true, legacySse: true }, "say legacySse: false"],
])("a public server with %s is none", (_, more, words) => {
  expect(problems({ servers: { demo: server(more) } })).toContain(words);
});

describe("headers that name callers, where callers come from several issuers", () => {
  const named = (value: string, more: object) =>
    problems({ ...more, servers: { demo: server({ headers: { "x-who": value } }) } });
  const TWO = /servers\.demo\.headers\.x-who: .*can be two people/;
  it.each(["{username}", "{subject}", "u {subject:base32}"])("%s", (value) => {
    expect(named(value, withKeys(key()))).toMatch(TWO);
    expect(named(value, {})).toBe("");
  });
  it("with the alias of the issuer, or of a claim alone", () => {
    const issuers = [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"], alias: "corp" }];
    for (const value of ["{issuerAlias}/{subject}", "{claim:tenant}"])
      expect(named(value, { identity: { issuers, apiKeys: [key()] } })).toBe("");
  });
});

it("a public server with a credential of the gateway's own is warned of", () => {
  writeFileSync(join(folder, "pat"), "s3cret", { mode: 0o600 });
  const file = { servers: { demo: server({ public: true, credential: [{ static: { file: "pat" } }] }) } };
  expect(warningsOf(file)).toContain("servers.demo.public");
});
