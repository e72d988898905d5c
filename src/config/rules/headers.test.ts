import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigError, loadConfig } from "../load.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-headers-"));
beforeAll(() => {
  writeFileSync(join(folder, "pat"), "s3cret", { mode: 0o600 });
  writeFileSync(join(folder, "lines"), "one\ntwo\n", { mode: 0o600 });
  writeFileSync(join(folder, "spaced"), " s3cret", { mode: 0o600 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const server = (more: object = {}) => ({ url: "http://127.0.0.1:9100/mcp", credential: [{ none: {} }], ...more });
const fixed = (more: object = {}) => [{ static: { file: "pat", ...more } }];

/** The keys and messages that a good file with these changes is refused with; empty when it is taken. */
function problems({ wristband = {}, ...more }: { wristband?: object } & Record<string, unknown>): string {
  const file = join(folder, "mcp-authz.yaml");
  const base = {
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }], ...wristband },
    servers: { demo: server() },
  };
  writeFileSync(file, stringify({ ...base, ...more }));
  try {
    loadConfig(file, {});
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((p) => `${p.key}: ${p.message}`).join("\n");
    throw error;
  }
  return "";
}

const callers = (more: object) => ({
  issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }],
  ...more,
});
const inPolicy = (name: string) => problems({ policy: { path: "policies", headers: [name] } });
const asCredential = (header: string) => problems({ servers: { demo: server({ credential: fixed({ header }) }) } });

describe("policy.headers", () => {
  it.each([
    ...["authorization", "cookie", "proxy-authorization", "x-vault-token", "x-vault-namespace", "mcp-session-id"],
    ...["x-authorized-tools", "x-mcp-server", "x-upstream-authorization", "x-upstream-header", "x-mcp-subject"],
  ])("%s is managed", (name) => expect(inPolicy(name)).toMatch(/^policy\.headers: .* never reaches policy/));
  it.each([
    ...["x-api-key", "apikey", "private-token", "x-amz-security-token", "x-goog-iap-jwt-assertion", "x-auth-token"],
    ...["x-forwarded-access-token", "x-client-secret", "x-ms-token-aad", "set-cookie", "authentication-jwt"],
  ])("%s carries a credential", (name) => expect(inPolicy(name)).toMatch(/^policy\.headers: .* carries a credential/));
  // Held back from the list: plurals, names in one word, names of vendors, keys that open something.
  it.each([
    ...[
      "x-vault-tokens",
      "x-cookies",
      "cookie2",
      "authorization2",
      "x-authtoken",
      "x-accesstoken",
      "usertoken",
      "x-auth",
    ],
    ...[
      "x-functions-key",
      "ocp-apim-subscription-key",
      "x-access-key",
      "x-apikeys",
      "x-user-secrets",
      "x-passwd",
      "x-otp",
    ],
    ...[
      "x-master-key",
      "x-jwts",
      "bearer",
      "dpop",
      "x-authentication",
      "x-private-keys",
      "x-db-pwd",
      "x-forwarded-jwt",
    ],
    ...["x-auth-key", "x-session-key", "x-csrf-token", "cf-access-jwt-assertion", "x-serverless-authorization"],
  ])("%s carries a credential by its name", (name) =>
    expect(inPolicy(name)).toMatch(/^policy\.headers: .* carries a credential/),
  );
  it.each(["proxy-authenticate", "proxy-connection", "proxy-user"])("%s is of one hop", (name) =>
    expect(inPolicy(name)).toMatch(/^policy\.headers: .* is of one hop/),
  );
  it.each<[string, Record<string, unknown>]>([
    ["x-plain", { servers: { demo: server({ credential: fixed({ header: "x-plain" }) }) } }],
    [
      "x-plain",
      { servers: { demo: server({ disabled: true, credential: fixed({ header: "x-plain" }) }), on: server() } },
    ],
    ["x-plain", { servers: { demo: server({ discovery: fixed({ header: "x-plain" }) }) } }],
    ["x-plain", { identity: callers({ apiKeys: [{ name: "ci", sha256: "a".repeat(64), header: "x-plain" }] }) }],
    ["x-api-key", { identity: callers({ apiKeys: [{ name: "ci", sha256: "a".repeat(64) }] }) }],
    ["dpop", { identity: { issuers: [{ ...callers({}).issuers[0], dpop: "accepted" }] } }],
  ])("%s, which the configuration gives a credential: %j", (name, more) => {
    const found = problems({ ...more, policy: { path: "policies", headers: [name] } });
    expect(found).toMatch(new RegExp(`policy\\.headers: ${name} never reaches policy`));
  });
  it("what this configuration writes", () => {
    const policy = { path: "policies", headers: ["x-key", "x-list", "x-wrist", "x-route"] };
    const demo = server({ credential: fixed({ header: "x-key" }), discovery: fixed({ header: "x-list" }) });
    const found = problems({ policy, wristband: { header: "x-wrist" }, routeHeader: "x-route", servers: { demo } });
    expect(found.match(/never reaches policy/g)).toHaveLength(4);
  });
  it.each([
    ...["user-agent", "x-tenant", "origin", "x-envoy-external-address", "accept-language", "x-tokenizer"],
    ...["idempotency-key", "x-partition-key", "x-author", "x-passenger", "x-secretary", "x-cookiecutter", "x-keyboard"],
  ])("%s is for policy to read", (name) => expect(inPolicy(name)).toBe(""));
});

/** What neither a credential nor anything of ours may stand in. */
const RESERVED = [
  ...["origin", "host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "keep-alive"],
  ...["proxy-connection", "proxy-authorization", "expect", "accept", "accept-encoding", "content-type", "traceparent"],
  ...["content-encoding", "x-envoy-a", "x-envoy-external-address", "x-forwarded-for", "x-forwarded-proto", "forwarded"],
  ...[
    "x-request-id",
    "x-real-ip",
    "via",
    "date",
    "access-control-request-method",
    "access-control-x",
    "http2-settings",
  ],
  ...["x-upstream-authorization", "x-mcp-server", "mcp-session-id", "mcp-name", "mcp-param-x", "a_b"],
];

describe("headers that we write", () => {
  it.each(RESERVED)("%s is for no credential", (header) =>
    expect(asCredential(header)).toMatch(/^servers\.demo\.credential\[0\]\.static\.header: /),
  );
  it.each([...RESERVED, "cookie", "authorization", "x-vault-token", "x-api-key"])(
    "%s is not ours to take",
    (header) => {
      expect(problems({ wristband: { header } })).toMatch(/^wristband\.header: /);
      expect(problems({ routeHeader: header })).toMatch(/^routeHeader: /);
    },
  );
  it.each([":path", "x y", "x\ny", "", "X-Key", "x-kéy", "x:"])("%j is no name", (header) => {
    expect(asCredential(header)).toMatch(/\.header: must be a header name/);
    expect(problems({ wristband: { header } })).toMatch(/^wristband\.header: must be/);
    expect(inPolicy(header)).toMatch(/^policy\.headers\[0\]: must be/);
  });
  it.each(["authorization", "x-api-key", "private-token", "cookie", "x-gitlab-token", "api-key"])(
    "%s carries a credential",
    (header) => expect(asCredential(header)).toBe(""),
  );
  it.each(["x-mcp-route", "x-mcp-authorized", "x-route"])("%s is ours to take", (header) => {
    expect(problems({ wristband: { header } })).toBe("");
    expect(problems({ routeHeader: header })).toBe("");
  });
  it("discovery is held to the same", () => {
    const demo = server({ discovery: fixed({ header: "x-envoy-a" }) });
    expect(problems({ servers: { demo } })).toMatch(/^servers\.demo\.discovery\[0\]\.static\.header: /);
  });
});

describe("CF-37: in the query, and several headers", () => {
  const of = (entry: object, more: object = {}) =>
    problems({ servers: { demo: server({ credential: [entry], ...more }) } });
  const query = { file: "pat", in: "query", name: "api_key" };
  it("a parameter on the relayed route", () => expect(of({ static: query })).toBe(""));
  it.each([
    [{ static: query }, { callRouting: "direct" }, /static\.in: query needs the broker/],
    [{ static: query }, { url: "http://127.0.0.1:9100/mcp?api_key=1" }, /static\.name: api_key stands in/],
    [{ static: { file: "pat", in: "query" } }, {}, /static\.name: is required/],
    [{ static: { file: "pat", name: "api_key" } }, {}, /static\.name: is for in: query/],
    [{ static: { ...query, name: "a&b" } }, {}, /static\.name: must be a parameter/],
    [{ static: {} }, {}, /must name file, or headers/],
    [
      {
        static: {
          headers: [
            { name: "x-a", file: "pat" },
            { name: "x-a", file: "pat" },
          ],
        },
      },
      {},
      /twice/,
    ],
    [
      {
        static: {
          headers: [
            { name: "x-a", file: "pat" },
            { name: "host", file: "pat" },
          ],
        },
      },
      {},
      /host cannot carry/,
    ],
    [
      {
        static: {
          headers: [
            { name: "x-a", file: "pat" },
            { name: "x-b", file: "lines" },
          ],
        },
      },
      {},
      /no header can carry/,
    ],
    [{ static: { file: "pat", headers: [{ name: "x-a", file: "pat" }] } }, {}, /static\.headers: says it all/],
  ])("%j %j", (entry, more, said) => expect(of(entry, more)).toMatch(said));
  it("two headers", () => {
    expect(
      of({
        static: {
          headers: [
            { name: "dd-api-key", file: "pat", scheme: "" },
            { name: "x-b", file: "pat" },
          ],
        },
      }),
    ).toBe("");
  });
  it("each of them is managed", () => {
    const entry = {
      static: {
        headers: [
          { name: "x-a", file: "pat" },
          { name: "x-b", file: "pat" },
        ],
      },
    };
    const policy = { path: "policies", headers: ["x-a", "x-b"] };
    const found = problems({ policy, servers: { demo: server({ credential: [entry] }) } });
    expect(found.match(/never reaches policy/g)).toHaveLength(2);
  });
});

describe("values", () => {
  it.each(["Bearer\nx", "Bearer\r\nevil: 1", "Bea rer", " Bearer", "Béarer", "\0", "\t", "\x7f", "x".repeat(65)])(
    "scheme %j",
    (scheme) =>
      expect(problems({ servers: { demo: server({ credential: fixed({ scheme }) }) } })).toMatch(
        /\.scheme: must be one word of visible ASCII/,
      ),
  );
  it.each(["", "Bearer", "token", "Token-1"])("scheme %j is a word", (scheme) =>
    expect(problems({ servers: { demo: server({ credential: fixed({ scheme }) }) } })).toBe(""),
  );
  it.each(["lines", "spaced"])("a static secret that no header can carry: %s", (file) => {
    const demo = server({ credential: [{ static: { file, scheme: "" } }] });
    expect(problems({ servers: { demo } })).toMatch(
      /^servers\.demo\.credential\[0\]\.static\.file: holds what no header/,
    );
  });
  it.each([
    "http://127.0.0.1:1/m\ncp",
    " http://127.0.0.1:1/mcp",
    "http://127.0.0.1:1/\tmcp",
    "https://münchen.example/mcp",
  ])("url %j is read otherwise than it is written", (url) =>
    expect(problems({ servers: { demo: server({ url }) } })).toMatch(/\.url: must be visible ASCII/),
  );
  it("times that Node's timers cannot hold, and hops that nobody has", () => {
    expect(problems({ servers: { demo: server({ timeoutMs: 2 ** 31 }) } })).toMatch(/\.timeoutMs: /);
    expect(problems({ checkTimeoutMs: 2 ** 31 })).toMatch(/^checkTimeoutMs: /);
    expect(problems({ envoy: { trustedHops: 65 } })).toMatch(/^envoy\.trustedHops: /);
  });
});

describe("servers.*.headers and passHeaders", () => {
  const inServer = (more: object) => problems({ servers: { demo: server(more) } });
  it.each(["x-mcp-readonly", "x-mcp-toolsets", "x-tenant", "user-agent", "accept-language"])("%s may", (name) => {
    expect(inServer({ headers: { [name]: "a, b" } })).toBe("");
    expect(inServer({ passHeaders: [name] })).toBe("");
  });
  it.each([
    ...["authorization", "cookie", "proxy-authorization", "x-vault-token", "x-mcp-subject", "x-mcp-server"],
    ...["x-authorized-tools", "x-upstream-authorization", "mcp-session-id", "mcp-name", "mcp-param-a", "last-event-id"],
    ...["host", "connection", "content-length", "transfer-encoding", "te", "upgrade", "content-type", "accept"],
    ...["x-api-key", "x-auth-token", "x-envoy-original-path", "x-forwarded-for", "x-request-id", "traceparent"],
    ...["X-Mcp-Readonly", "x_tenant", ":path", "x tenant", ""],
  ])("%s may not", (name) => {
    expect(inServer({ headers: { [name]: "a" } })).not.toBe("");
    expect(inServer({ passHeaders: [name] })).not.toBe("");
  });
  it("no header that another server's credential has, and none both fixed and passed", () => {
    const other = server({ credential: fixed({ header: "x-other" }) });
    expect(problems({ servers: { demo: server({ passHeaders: ["x-other"] }), other } })).toContain(
      "written or removed",
    );
    expect(inServer({ headers: { "x-a": "1" }, passHeaders: ["x-a"] })).toContain("is fixed in headers");
  });
  it.each(["", " a", "a ", "a\r\nb: c", "\u0000", "é"])("a value that no header can carry: %j", (value) => {
    expect(inServer({ headers: { "x-a": value } })).toContain("must be visible ASCII");
  });
});
