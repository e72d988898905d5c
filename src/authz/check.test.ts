import { describe, expect, it } from "vitest";
import {
  ALICE,
  allowingPorts,
  checkSettings,
  ORIGIN,
  requestOf,
  THERE,
  type RequestParts,
} from "../../test/fakes/authz.ts";
import { createCheck } from "./check.ts";
import { Grant } from "./grant.ts";
import { pass, refuse, type Refused } from "./step.ts";
import type { PolicyInput, Identity, Visible } from "./types.ts";
import type { Ports } from "./ports.ts";
import { newCheckFacts, type AuditedCaller } from "./facts.ts";

async function run(parts: RequestParts = {}, ports: Partial<Ports> = {}, settings = checkSettings()) {
  const facts = newCheckFacts("req-1", 1_790_000_000_123);
  const outcome = await createCheck(settings, allowingPorts(ports))(
    requestOf(parts),
    facts,
    new AbortController().signal,
  );
  return { outcome, facts };
}

async function reasonOf(parts: RequestParts, ports?: Partial<Ports>): Promise<string> {
  const { outcome } = await run(parts, ports);
  return outcome.ok ? (Grant.is(outcome.value) ? `grant ${outcome.value.route}` : "public") : outcome.reason;
}

const call = (name: unknown, more: object = {}) => ({
  jsonrpc: "2.0",
  id: 1,
  method: "tools/call",
  params: { name, ...more },
});

const read = (uri: string) => ({ jsonrpc: "2.0", id: 1, method: "resources/read", params: { uri } });

it.each<[string, object, string]>([
  ["a tool", call("nobodys_tool"), "no server has this name"],
  ["a prompt", { ...call("nobodys_p"), method: "prompts/get" }, "no server has this name"],
  ["a page", read("ui://budget/app.html"), "no server has this name"],
  ["a resource", read("budget+docs://a"), "no server has this name"],
  ["a resource without a server", read("docs://a"), "no server has this name"],
  ["a resource under a second name", read("s+ui://app"), "no server has this name"],
  ["a resource that its server's endpoint would refuse as no URI", read("s+file:///a?b"), "no server has this name"],
])(
  "%s on /mcp that is nobody's there: the audit line says why, the client cannot tell it from a denied one",
  async (...row) => {
    const [, message, detail] = row;
    const { outcome, facts } = await run({ path: "/mcp", message });
    expect(outcome).toEqual({ ok: false, reason: "policy_denied", detail });
    expect(facts.policy).toBeNull();
  },
);

it("whose token is not taken stands in the facts once its signature was verified, and nobody else", async () => {
  const trailOf = async (refused: Refused) => {
    const { outcome, facts } = await run({}, { identify: () => refused });
    expect(outcome).toMatchObject({ ok: false, reason: refused.reason });
    return facts.identity;
  };
  expect(await trailOf({ ...refuse("token_revoked"), caller: ALICE })).toBe(ALICE);
  expect(await trailOf(refuse("token_invalid"))).toBeNull();
});

it("P15: a Check whose large body waits for its turn is noted with its caller, a small one is not", async () => {
  const noted: (AuditedCaller | null)[] = [];
  const note: Ports["note"] = ({ identity }) => void noted.push(identity);
  const bodyOf = (text: string) => ({
    kind: "bytes" as const,
    bytes: Buffer.from(JSON.stringify(call("read", { arguments: { text } }))),
  });
  await run({ body: bodyOf("x") }, { note });
  expect(noted).toEqual([]);
  await run({ body: bodyOf("x".repeat(40_000)) }, { note });
  expect(noted).toEqual([ALICE]);
  const list = { jsonrpc: "2.0", id: 1, method: "tools/list", params: {} };
  await run({ body: { kind: "bytes", bytes: Buffer.from(JSON.stringify(list)) } }, { note });
  expect(noted, "so may a list").toEqual([ALICE, ALICE]);
});

describe("the order of the steps: the first fault wins", () => {
  // Each row breaks everything from its own step on, so that an earlier step that were late would show.
  const late: RequestParts = { token: null, headers: [["content-encoding", "gzip"]], body: { kind: "none" } };
  it.each<[string, RequestParts, string]>([
    ["host", { ...late, host: "evil", path: "/nope", query: "a" }, "route_unknown"],
    ["path", { ...late, path: "/nope", query: "a" }, "route_unknown"],
    ["C18 upgrade", { ...late, method: "PUT", headers: [["upgrade", "websocket"]] }, "header_malformed"],
    ["C19 method", { ...late, method: "PUT", query: "a" }, "method_not_allowed"],
    ["query", { ...late, query: "", body: { kind: "partial" } }, "query_not_allowed"],
    ["B24 partial", { ...late, body: { kind: "partial" }, headers: [["origin", "https://evil"]] }, "body_too_large"],
    ["N-07 origin", { ...late, headers: [["origin", "https://evil"]] }, "origin_not_allowed"],
    ["identity", { ...late }, "token_missing"],
    ["B29 GET after identity", { method: "GET", body: { kind: "none" } }, "method_not_allowed"],
    ["DELETE after identity", { method: "DELETE", body: { kind: "none" } }, "method_not_allowed"],
    // mcp-remote looks with such a GET for the 401 that announces a log-in, and is not ready for one without it.
    ["GET without a token", { method: "GET", token: null, body: { kind: "none" } }, "token_missing"],
    ["B28 encoding", { headers: [["content-encoding", "gzip"]], body: { kind: "none" } }, "media_type"],
    ["B25 no body", { body: { kind: "none" } }, "body_malformed"],
    ["B26 text body", { body: { kind: "text", bytes: Buffer.from("{}") } }, "body_malformed"],
    ["body", { message: [] }, "body_batch"],
    [
      "P14 a byte above limits.bodyBytes",
      { body: { kind: "bytes", bytes: Buffer.alloc(256 * 1024 + 1, 0x5b) } },
      "body_too_large",
    ],
    ["P14 as much as may be", { body: { kind: "bytes", bytes: Buffer.from("[]".padEnd(256 * 1024)) } }, "body_batch"],
  ])("%s", async (_, parts, expected) => expect(await reasonOf(parts)).toBe(expected));

  it("policy comes before the credential, and the credential before the wristband", async () => {
    const asked: string[] = [];
    const ports: Partial<Ports> = {
      decide: () => (asked.push("decide"), pass({ allow: false, revision: "r", note: null, requiredScopes: null })),
      fetchCredential: () => (asked.push("credential"), refuse("credential_missing")),
      signWristband: () => (asked.push("wristband"), refuse("wristband_too_large")),
    };
    expect(await reasonOf({}, ports)).toBe("policy_denied");
    expect(asked).toEqual(["decide"]);
    expect(await reasonOf({ path: "/servers/t/mcp" }, { ...ports, decide: allowingPorts().decide })).toBe(
      "credential_missing",
    );
    expect(asked).toEqual(["decide", "credential"]);
  });
});

describe("one reading: what some reader takes for something else never reaches policy", () => {
  const bodyOf = (text: string): RequestParts => ({ body: { kind: "bytes", bytes: Buffer.from(text) } });
  const call = (args: string) =>
    bodyOf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":${args}}}`);
  const uri = (text: string): RequestParts => ({
    message: { jsonrpc: "2.0", id: 1, method: "resources/read", params: { uri: text } },
  });
  it.each<[string, RequestParts, string]>([
    ["F2 a name that would be planted", call(String.raw`{"q7":0,"duratio\\":1}`), "body_malformed"],
    ["F2 a name that would be read as it", call(String.raw`{"q7":0,"duratio\u006e":1}`), "body_malformed"],
    ["F3 a space behind a dot segment", uri("file:///srv/public/.. "), "params_invalid"],
    ["F3 a space before", uri(" file:///srv/public/a"), "params_invalid"],
    ["F16 a number that is rounded", call('{"amount":100.00000000000000001}'), "body_malformed"],
  ])("%s", async (_, parts, expected) => {
    const asked: unknown[] = [];
    const decide: Ports["decide"] = (input) => (asked.push(input), refuse("internal"));
    expect([await reasonOf(parts, { decide }), asked]).toEqual([expected, []]);
  });
});

describe("media types (B27)", () => {
  const type = (value: string) => ({ headers: [["content-type", value]] as const });
  it.each([
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    'application/json;charset="UTF-8"',
  ])("%s is read", async (value) => {
    const request = {
      ...requestOf(),
      headers: {
        ...requestOf().headers,
        get: (n: string) => (n === "content-type" ? value : requestOf().headers.get(n)),
      },
    };
    const outcome = await createCheck(checkSettings(), allowingPorts())(
      request,
      newCheckFacts("r", 0),
      new AbortController().signal,
    );
    expect(outcome.ok).toBe(true);
  });
  it.each([
    "text/plain",
    "",
    "application/json, text/plain",
    "application/json; charset=utf-16",
    "application/jsonx",
    "application/vnd.api+json",
    "multipart/form-data",
    "application/json; charset=utf-8; x=y",
  ])(
    "%j is 415",
    async (value) => expect(await reasonOf(type(value))).toBe("media_type"), // joined to the first one
  );
});

describe("header names", () => {
  it.each(["x_authorized_tools", "x-authorized_tools", "x_mcp-server", "mcp_session_id", "x_api_key"])(
    "C02: %s is 400",
    async (name) => expect(await reasonOf({ headers: [[name, "x"]] })).toBe("header_malformed"),
  );
  it.each(["x-authorized-tools", "keep-alive, x-authorized-tools", "upgrade"])(
    "C03: Connection: %s is 400",
    async (value) => expect(await reasonOf({ headers: [["connection", value]] })).toBe("header_malformed"),
  );
  it("P14, K06: 60 KB of spaces in Connection cost no time", async () => {
    const from = performance.now();
    const headers = [["connection", `${" ".repeat(60_000)}x`]] as const;
    expect(await reasonOf({ token: null, headers })).toBe("header_malformed");
    expect(performance.now() - from).toBeLessThan(1000);
  });
  it.each(["keep-alive", "close", "Keep-Alive, TE", "te"])("Connection: %s is fine", async (value) =>
    expect(await reasonOf({ headers: [["connection", value]] })).toBe(`grant server:s:${THERE}`),
  );
  it("an ordinary header with an underscore is none of our business", async () =>
    expect(await reasonOf({ headers: [["x_other", "1"]] })).toBe(`grant server:s:${THERE}`));
});

describe("who goes where", () => {
  it.each<[string, RequestParts, string]>([
    ["a call on a direct server", {}, `grant server:s:${THERE}`],
    ["B23: with a parameter in a header", { headers: [["mcp-param-region", "eu"]] }, "grant broker"],
    ["with another mcp- header", { headers: [["mcp-parameter", "eu"]] }, `grant server:s:${THERE}`],
    ["a call on a relayed server", { path: "/servers/t/mcp" }, "grant broker"],
    ["a call on /mcp", { path: "/mcp", message: call("s_read") }, "grant broker"],
    ["a list", { message: { jsonrpc: "2.0", id: 1, method: "tools/list" } }, "grant broker"],
    [
      "a handshake",
      { message: { jsonrpc: "2.0", id: 1, method: "initialize", params: { protocolVersion: "2025-11-25" } } },
      "grant broker",
    ],
    ["a notification", { message: { jsonrpc: "2.0", method: "notifications/initialized" } }, "grant broker"],
    ["no oracle: a name of no server on /mcp", { path: "/mcp", message: call("read") }, "policy_denied"],
    ["a prefix without a name", { path: "/mcp", message: call("s_") }, "policy_denied"],
    ["B15: a name outside the ordinary alphabet", { message: call("d\u0435lete") }, "policy_denied"],
    [
      "a prompt on /mcp",
      { path: "/mcp", message: { jsonrpc: "2.0", id: 1, method: "prompts/get", params: { name: "s_p" } } },
      "grant broker",
    ],
    ["a resource on /mcp", { path: "/mcp", message: read("s+docs://a") }, "grant broker"],
    ["a page on /mcp", { path: "/mcp", message: read("ui://s/app") }, "grant broker"],
    ["allowQuery", { path: "/servers/t/mcp", query: "tenant=1" }, "grant broker"],
    ["A47: a token in an allowed query", { path: "/servers/t/mcp", query: "access_token=x" }, "query_not_allowed"],
    ["A47: the same, encoded", { path: "/servers/t/mcp", query: "a=1&access%5Ftoken=x" }, "query_not_allowed"],
  ])("%s", async (_, parts, expected) => expect(await reasonOf(parts)).toBe(expected));

  describe("N-03: a call of a tool that says arguments in headers, on a direct server", () => {
    const AT_ITS_SERVER = `grant server:s:${THERE}`;
    const modern: RequestParts["headers"] = [
      ["mcp-protocol-version", "2026-07-28"],
      ["mcp-method", "tools/call"],
      ["mcp-name", "read"],
    ];
    const meta = {
      _meta: {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
      },
    };
    const ofToday = { message: call("read", { arguments: { region: "eu" }, ...meta }), headers: modern };

    it.each<[string, RequestParts, readonly string[], string]>([
      ["without them, by a client of today", ofToday, ["s read"], "grant broker"],
      ["with them", { ...ofToday, headers: [...modern, ["mcp-param-region", "eu"]] }, ["s read"], "grant broker"],
      ["by an older client, who has no such headers", {}, ["s read"], AT_ITS_SERVER],
      ["another tool's", ofToday, ["s write"], AT_ITS_SERVER],
      ["another server's", ofToday, ["t read"], AT_ITS_SERVER],
      ["nobody's", ofToday, [], AT_ITS_SERVER],
    ])("%s", async (_, parts, mirroring, expected) => {
      const mirrorsArguments = (server: string, tool: string) => mirroring.includes(`${server} ${tool}`);
      expect(await reasonOf(parts, { mirrorsArguments })).toBe(expected);
    });
  });

  it("B37, B39: a call without an id is malformed, whatever policy says", async () =>
    expect(await reasonOf({ message: { jsonrpc: "2.0", method: "tools/call", params: { name: "read" } } })).toBe(
      "body_malformed",
    ));
});

describe("what policy sees", () => {
  it("4.3: the verified identity, the name without its prefix, no token", async () => {
    const seen: PolicyInput[] = [];
    const decide: Ports["decide"] = (input) => (seen.push(input), pass({ allow: true, revision: "r", note: null }));
    const settings = checkSettings({ policyHeaders: ["x-tenant"], compat: "authorino" });
    const parts = {
      path: "/mcp",
      message: call("s_read", { arguments: { amount: 5 } }),
      headers: [
        ["x-tenant", "acme"],
        ["x-other", "no"],
      ] as const,
    };
    const { facts } = await run(parts, { decide }, settings);
    expect(seen[0]).toMatchObject({
      identity: { subject: "alice-sub", groups: ["engineering"] },
      mcp: {
        method: "tools/call",
        server: "s",
        kind: "tool",
        name: "read",
        arguments: { amount: 5 },
        version: "2025-03-26",
      },
      request: {
        host: "gw.example.com",
        path: "/mcp",
        sourceIp: "192.0.2.7",
        time: 1_790_000_000,
        headers: { "x-tenant": "acme" },
      },
      auth: { identity: { sub: "alice-sub" } },
    });
    expect(seen[0]?.request).not.toHaveProperty("local");
    await run(parts, { decide }, checkSettings({ zones: ["Asia/Kathmandu"] }));
    expect(seen[1]?.request.local).toEqual({
      "Asia/Kathmandu": { date: "2026-09-21", clock: "19:58", weekday: "monday" },
    });
    expect(JSON.stringify(seen)).not.toContain("alice-token");
    expect(facts).toMatchObject({ server: "s", name: "read", credential: "static", wristband: "j1", policy: "r" });
  });

  it("C09: a forwarded address counts only when configured", async () => {
    const headers = [
      ["x-forwarded-for", "10.0.0.1"],
      ["x-envoy-external-address", "198.51.100.9"],
    ] as const;
    expect((await run({ headers })).facts.sourceIp).toBe("192.0.2.7");
    expect(
      (await run({ headers }, {}, checkSettings({ clientAddress: "x-envoy-external-address" }))).facts.sourceIp,
    ).toBe("198.51.100.9");
  });

  it("A24: the token is judged for the endpoint that is asked", async () => {
    const resources: string[] = [];
    await run(
      { path: "/servers/t/mcp" },
      { identify: (_, { resource }) => (resources.push(resource), pass<Identity>(ALICE)) },
    );
    expect(resources).toEqual([`${ORIGIN}/servers/t/mcp`]);
  });
});

describe("wristbands", () => {
  it("a relayed call's names exactly that operation; a list's what is visible; a handshake's nothing", async () => {
    const signed: Visible[] = [];
    const uses: unknown[] = [];
    const signWristband: Ports["signWristband"] = (_, visible, use) => {
      signed.push(visible);
      uses.push(use.use === "call" ? Buffer.from(use.body).toString() : use.use);
      return pass({ jws: "w", jti: "j", leftOut: [] });
    };
    const message = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "read" } };
    await run({ path: "/servers/t/mcp", message }, { signWristband });
    await run({ message: { jsonrpc: "2.0", id: 1, method: "tools/list" } }, { signWristband });
    await run({ message: { jsonrpc: "2.0", id: 1, method: "ping" } }, { signWristband });
    expect(signed).toEqual([
      { tools: { t: ["read"] }, prompts: {}, resources: {} },
      { tools: { s: ["read"] }, prompts: {}, resources: {} },
      { tools: {}, prompts: {}, resources: {} },
    ]);
    expect(uses).toEqual([JSON.stringify(message), "list", "list"]);
  });
});

it("the record names the revision that decided: of a call, of a list, none where policy is not asked", async () => {
  const revisionOf = async (method: string, params = {}) =>
    (await run({ path: "/servers/t/mcp", message: { jsonrpc: "2.0", id: 1, method, params } })).facts.policy;
  expect(await revisionOf("tools/call", { name: "read" })).toBe("r1");
  expect(await revisionOf("tools/list")).toBe("r2");
  expect(await revisionOf("ping")).toBeNull();
  const unsigned: Ports["signWristband"] = () => refuse("internal");
  const list = { path: "/servers/t/mcp", message: { jsonrpc: "2.0", id: 1, method: "tools/list" } };
  expect((await run(list, { signWristband: unsigned })).facts.policy, "a refusal after policy too").toBe("r2");
});

it("F5: what has no room in a list of all servers stands in the audit line; a list of one server is marked as such", async () => {
  const merged: unknown[] = [];
  const signWristband: Ports["signWristband"] = (_, __, use) => {
    merged.push(use.use === "list" && use.merged);
    return pass({ jws: "w", jti: "j", leftOut: ["big", "evil"] });
  };
  const message = { jsonrpc: "2.0", id: 1, method: "tools/list" };
  const { facts } = await run({ message, path: "/mcp" }, { signWristband });
  expect(facts.note).toBe("too large for the list: big, evil");
  await run({ message, path: "/servers/s/mcp" }, { signWristband });
  expect(merged).toEqual([true, false]);
});

describe("documents and preflights", () => {
  it("MS-03, A3: the document names the endpoint, whatever Host says", async () => {
    const { outcome } = await run({
      method: "GET",
      path: "/.well-known/oauth-protected-resource/servers/s/mcp",
      host: "alias.example.com",
      token: null,
    });
    expect(outcome.ok && !Grant.is(outcome.value) && JSON.parse(outcome.value.body)).toEqual({
      resource: `${ORIGIN}/servers/s/mcp`,
      authorization_servers: ["https://idp.example.com"],
      bearer_methods_supported: ["header"],
    });
  });
  it.each<[RequestParts, string]>([
    [{ method: "POST", path: "/.well-known/oauth-protected-resource" }, "method_not_allowed"],
    [{ method: "OPTIONS", path: "/.well-known/oauth-protected-resource" }, "public"],
    [{ method: "HEAD", path: "/.well-known/oauth-protected-resource/mcp" }, "public"],
    [{ method: "OPTIONS", token: null, headers: [["origin", "https://app.example.com"]] }, "public"],
    [{ method: "OPTIONS", token: null, headers: [["origin", "https://evil.example.com"]] }, "origin_not_allowed"],
    [{ method: "OPTIONS", token: null }, "method_not_allowed"],
    [{ headers: [["origin", "null"]] }, "origin_not_allowed"],
    [{ headers: [["origin", ORIGIN]] }, `grant server:s:${THERE}`],
    [
      {
        headers: [
          ["origin", "https://app.example.com"],
          ["origin", "https://app.example.com"],
        ],
      },
      "origin_not_allowed",
    ],
  ])("B52, SP-08 %j", async (parts, expected) => expect(await reasonOf(parts)).toBe(expected));

  it("a listed origin may read the answer", async () => {
    const { outcome, facts } = await run({ headers: [["origin", "https://app.example.com"]] });
    expect(facts.corsOrigin).toBe("https://app.example.com");
    expect(
      outcome.ok && Grant.is(outcome.value) && outcome.value.responseHeaders.get("access-control-allow-origin"),
    ).toBe("https://app.example.com");
  });
});
