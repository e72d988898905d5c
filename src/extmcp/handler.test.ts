// ExtMcp as agentgateway speaks it: both phases, and what is hostile in them.
import { describe, expect, it } from "vitest";
import { ALICE, allowingPorts, checkSettings, THERE } from "../../test/fakes/authz.ts";
import { clientHeaders, effectOf, mcpRequest, mcpResponse, PATHS } from "../../test/fakes/ext-mcp.ts";
import type { RequestParts, ResponseParts } from "../../test/fakes/ext-mcp.ts";
import { someInFlight } from "../../test/fakes/handover.ts";
import { makeKey } from "../../test/fakes/issuer.ts";
import type { AuditRecord } from "../authz/audit-record.ts";
import type { CheckSettings } from "../authz/check.ts";
import { createPipeline } from "../authz/pipeline.ts";
import type { Ports } from "../authz/ports.ts";
import { pass, refuse } from "../authz/step.ts";
import type { PolicyInput } from "../authz/types.ts";
import { LISTS } from "../mcp/lists.ts";
import { createResolver } from "../mcp/resolver.ts";
import { Secret } from "../secret/secret.ts";
import type { SigningKey } from "../wristband/keys.ts";
import { createExtMcp } from "./handler.ts";
import { createTickets } from "./ticket.ts";

const KEY = makeKey("k1") as unknown as SigningKey;

interface World {
  readonly ports?: Partial<Ports>;
  readonly settings?: Partial<CheckSettings>;
  readonly now?: () => number;
  readonly prefixMode?: "conditional" | "always";
  readonly keys?: readonly SigningKey[];
}

/** One serve, asked as agentgateway asks it. */
function world({ ports, settings, now = Date.now, prefixMode = "conditional", keys = [KEY] }: World = {}) {
  const records: AuditRecord[] = [];
  const inputs: PolicyInput[] = [];
  const decide: Ports["decide"] = (input, facts) => {
    inputs.push(input);
    return ports?.decide?.(input, facts) ?? pass({ allow: true, revision: "r1", note: null });
  };
  const pipeline = createPipeline(checkSettings(settings), allowingPorts({ ...ports, decide }));
  const methods = createExtMcp({
    ...{ pipeline: () => pipeline, tickets: createTickets(() => keys, now), prefixMode, now },
    answers: { publicOrigin: "https://gw.example.com", scopes: [], denial: "jsonrpc" },
    audit: (record) => (records.push(record), Promise.resolve(true)),
    observe: () => {},
    newRequestId: () => `r${records.length}`,
    inFlight: someInFlight(),
  });
  const ask = async (path: string, bytes: Buffer, deadlineMs = 5000) => {
    const answer = await methods.get(path)?.handler(bytes, { deadlineMs, onGone: () => {} });
    return effectOf(answer ?? Buffer.alloc(0));
  };
  const request = (parts: RequestParts = {}) =>
    ask(PATHS.request, mcpRequest({ params: { name: "read", arguments: {} }, ...parts }));
  const response = (parts: ResponseParts = {}) => ask(PATHS.response, mcpResponse(parts));
  /** A list as the gateway has it answered: its request first, and the ticket in the metadata. */
  const list = async (parts: ResponseParts, headers = clientHeaders("token")) => {
    const { services = ["s"], method = "tools/list" } = parts;
    const asked = await ask(PATHS.request, mcpRequest({ services, method, headers }));
    if (asked.kind !== "pass") return asked;
    return response({ ...parts, metadata: { mcp_authz: asked.ticket } });
  };
  return { ask, request, response, list, records, inputs };
}

const denied =
  (name: string): Ports["decide"] =>
  (input) =>
    input.mcp.name === name
      ? pass({ allow: false, revision: "r1", note: null, requiredScopes: null })
      : pass({ allow: true, revision: "r1", note: null });
const tools = (...names: string[]) => ({ tools: names.map((name) => ({ name, inputSchema: { type: "object" } })) });

describe("a request", () => {
  it("an allowed call goes on with the credential of its server, and without what is the client's", async () => {
    const { request, records, inputs } = world();
    const headers = [...clientHeaders("token"), ["x-sudo", "root"], ["cookie", "a=b"]] as [string, string][];
    const effect = await request({ headers });
    expect(effect).toMatchObject({ kind: "pass", set: { authorization: "Bearer pat" } });
    expect(effect.kind === "pass" && effect.remove).toEqual(expect.arrayContaining(["x-sudo", "cookie", "user-agent"]));
    expect(inputs[0]?.mcp).toMatchObject({ method: "tools/call", server: "s", name: "read", version: "2025-11-25" });
    expect(inputs[0]?.request).toMatchObject({ host: "gw.example.com", path: "/mcp" });
    expect(records).toMatchObject([
      { decision: "allow", server: "s", name: "read", subject: "alice-sub", credential: "static" },
    ]);
  });

  it("a refusal has the words and the reason that it has behind Envoy", async () => {
    const { request, records } = world({ ports: { decide: denied("read") } });
    expect(await request()).toEqual({
      ...{ kind: "error", code: -32_001, message: "Not allowed" },
      data: { reason: "policy_denied", requestId: "r0" },
    });
    expect(records).toMatchObject([{ decision: "deny", reason: "policy_denied" }]);
  });

  it.each<[string, World, RequestParts, object]>([
    ["no token", {}, { headers: clientHeaders(null) }, { code: -32_001, data: { error: "unauthorized" } }],
    [
      "a token that is none",
      {},
      { headers: clientHeaders("other") },
      { code: -32_001, message: "Missing or invalid access token" },
    ],
    [
      "two tokens, as two lines",
      {},
      { headers: [...clientHeaders("token"), ["authorization", "Bearer other"]] },
      { data: { reason: "header_malformed" } },
    ],
    [
      "two tokens, joined",
      {},
      { headers: clientHeaders("token, Bearer other") },
      { data: { reason: "header_malformed" } },
    ],
    [
      "no credential",
      { ports: { fetchCredential: () => refuse("credential_missing") } },
      {},
      { data: { reason: "credential_missing" } },
    ],
    [
      "no policy",
      { ports: { decide: () => refuse("policy_unavailable") } },
      {},
      { code: -32_603, data: { reason: "policy_unavailable" } },
    ],
    [
      "too many",
      { ports: { fetchCredential: () => refuse("rate_limited") } },
      {},
      { code: -32_003, data: { reason: "rate_limited" } },
    ],
    ["an unknown server", {}, { services: ["nobody"] }, { data: { reason: "route_unknown" } }],
    ["no server", {}, { services: [] }, { data: { reason: "route_unknown" } }],
    ["a server twice", {}, { services: ["s", "s"] }, { data: { reason: "route_unknown" } }],
    ["a call for two", {}, { services: ["s", "t"] }, { data: { reason: "route_unknown" } }],
    [
      "a server of another endpoint",
      {},
      { headers: clientHeaders("token", "/servers/t/mcp") },
      { data: { reason: "route_unknown" } },
    ],
    ["a virtual server's name", {}, { services: ["v"] }, { data: { reason: "route_unknown" } }],
    [
      "another host",
      {},
      { headers: clientHeaders("token").map(([n, v]) => [n, n === ":authority" ? "evil" : v]) },
      { data: { reason: "route_unknown" } },
    ],
    ["another path", {}, { headers: clientHeaders("token", "/mcp/../admin") }, { data: { reason: "route_unknown" } }],
    [
      "no pseudo-headers",
      {},
      { headers: [["authorization", "Bearer token"]] },
      { data: { reason: "header_malformed" } },
    ],
    [
      "a token in the query",
      {},
      { headers: clientHeaders("token", "/mcp?access_token=x") },
      { data: { reason: "query_not_allowed" } },
    ],
    [
      "an origin",
      {},
      { headers: [...clientHeaders("token"), ["origin", "https://evil.example"]] },
      { data: { reason: "origin_not_allowed" } },
    ],
    [
      "a lookalike header",
      {},
      { headers: [...clientHeaders("token"), ["x_mcp_server", "t"]] },
      { data: { reason: "header_malformed" } },
    ],
    [
      "300 headers",
      {},
      { headers: [...clientHeaders("token"), ...Array.from({ length: 300 }, (_, i) => [`x-${i}`, ""] as const)] },
      { data: { reason: "header_too_large" } },
    ],
    ["broken params", {}, { params: Buffer.from('{"name":') }, { code: -32_600, data: { reason: "body_malformed" } }],
    ["params that are no object", {}, { params: [1] }, { data: { reason: "params_invalid" } }],
    ["no params", {}, { params: undefined }, { data: { reason: "params_invalid" } }],
    [
      "duplicate keys",
      {},
      { params: Buffer.from('{"name":"read","name":"write"}') },
      { data: { reason: "body_malformed" } },
    ],
    [
      "keys that differ in case",
      {},
      { params: { name: "read", Name: "write" } },
      { data: { reason: "body_malformed" } },
    ],
    [
      "bytes that are not UTF-8",
      {},
      { params: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) },
      { data: { reason: "body_malformed" } },
    ],
    [
      "text behind the params",
      {},
      { params: Buffer.from('{"name":"read"},"method":"tools/list"') },
      { data: { reason: "body_malformed" } },
    ],
    [
      "huge params",
      {},
      { params: { name: "read", arguments: { text: "x".repeat(300_000) } } },
      { data: { reason: "body_too_large", limitBytes: 256 * 1024 } },
    ],
    ["an unknown method", {}, { method: "tools/steal" }, { data: { reason: "method_unknown" } }],
    ["no method", {}, { method: "" }, { data: { reason: "body_malformed" } }],
    [
      "a stream",
      {},
      {
        method: "subscriptions/listen",
        params: undefined,
        headers: clientHeaders("token").map(([n, v]) => [n, n === "mcp-protocol-version" ? "2026-07-28" : v]),
      },
      { kind: "error" },
    ],
    [
      "a revision of nobody",
      {},
      { headers: clientHeaders("token").map(([n, v]) => [n, n === "mcp-protocol-version" ? "1999" : v]) },
      { data: { reason: "version_unsupported" } },
    ],
    ["a name of another alphabet", {}, { params: { name: "reаd" } }, { data: { reason: "policy_denied" } }],
  ])("%s is refused, and passes nothing", async (_, of, parts, expected) => {
    const { request, records } = world(of);
    expect(await request(parts)).toMatchObject({ kind: "error", ...expected });
    expect(records).toHaveLength(1);
    expect(records[0]?.decision).not.toBe("allow");
  });

  it("metadata does not say which server is asked, nor who asks", async () => {
    const { request, inputs } = world();
    const metadata = {
      server: "t",
      service_names: "t",
      subject: "root",
      mcp_authz: "x",
      authorization: "Bearer token",
    };
    await request({ metadata });
    expect(inputs[0]?.mcp.server).toBe("s");
    expect(await request({ metadata, headers: clientHeaders(null) })).toMatchObject({ kind: "error" });
  });

  it("a name with the gateway's prefix is the server's own name here: what policy sees is what goes on", async () => {
    const { request, inputs } = world();
    await request({ params: { name: "s_read" } });
    expect(inputs[0]?.mcp).toMatchObject({ server: "s", name: "s_read" });
  });

  it("an alias is the broker's: what policy is asked about is what goes on", async () => {
    const resolver = createResolver({ s: "s_", t: "t_" }, { s: { read: "get" } });
    const { request, list, inputs } = world({ settings: { resolver } });
    for (const name of ["read", "get"]) await request({ params: { name } });
    await list({ result: tools("read", "get") });
    expect(inputs.map(({ mcp }) => mcp.name)).toEqual(["read", "get", "read", "get"]);
  });

  it("a caller whose key opens another server alone gets no credential and sees no name of this one", async () => {
    const { token: _token, ...claims } = ALICE;
    const opens = new Set(["t"]);
    const identify: Ports["identify"] = () => pass({ ...claims, method: "api_key", opens });
    const { request, list } = world({ ports: { identify } });
    expect(await request()).toMatchObject({ kind: "error", data: { reason: "policy_denied" } });
    const asked = await request({ method: "tools/list", params: undefined });
    expect(asked.kind === "pass" && asked.set["authorization"]).toBeUndefined();
    const effect = await list({ services: ["s", "t"], result: tools("s_read", "t_x") });
    expect(effect).toMatchObject({ json: tools("t_x") });
  });

  it("CL-09: who chose another server alone sees no name of this one, and calls none", async () => {
    const { request, list } = world({ settings: {} });
    const headers: [string, string][] = [...clientHeaders("token"), ["x-mcp-servers", "t"]];
    expect(await request({ headers })).toMatchObject({ kind: "error", data: { reason: "policy_denied" } });
    const effect = await list({ services: ["s", "t"], result: tools("s_read", "t_x") }, headers);
    expect(effect).toMatchObject({ json: tools("t_x") });
  });

  it("policy sees the arguments that go on", async () => {
    const { request, inputs } = world();
    await request({ params: { name: "read", arguments: { path: "/etc", n: 1.5 }, _meta: {} } });
    expect(inputs[0]?.mcp.arguments).toEqual({ path: "/etc", n: 1.5 });
  });

  it("a credential that cannot be a header goes nowhere", async () => {
    const value = new Secret("Bearer pat\n");
    const { request } = world({
      ports: { fetchCredential: () => pass({ kind: "static", header: "authorization", value, destination: THERE }) },
    });
    expect(await request()).toMatchObject({ kind: "error", data: { reason: "credential_unavailable" } });
  });

  it.each(["initialize", "tools/list", "ping"])(
    "%s of one server carries the credential, of several none, and the token never",
    async (method) => {
      const { request } = world();
      const one = await request({ method, params: undefined });
      expect(one).toMatchObject({ kind: "pass", set: { authorization: "Bearer pat" } });
      const several = await request({ method, params: undefined, services: ["s", "t"] });
      expect(
        several.kind === "pass" && [several.set["authorization"], several.remove.includes("authorization")],
      ).toEqual([undefined, true]);
    },
  );

  it("a list without a credential goes on without one", async () => {
    const { request } = world({ ports: { fetchCredential: () => refuse("credential_missing") } });
    const effect = await request({ method: "tools/list", params: undefined });
    expect(effect.kind === "pass" && effect.remove.includes("authorization")).toBe(true);
  });
});

describe("the answer to a list", () => {
  it("loses what its caller may not see, and keeps all else as it came", async () => {
    const { list, records } = world({ ports: { decide: denied("write") } });
    const result = {
      ...tools("read", "write", "grep"),
      nextCursor: "c",
      _meta: { n: 9_007_199_254_740_993n.toString() },
    };
    expect(await list({ result })).toMatchObject({
      kind: "mutated",
      json: { ...result, tools: [...tools("read", "grep").tools] },
    });
    expect(records.at(-1)).toMatchObject({
      decision: "allow",
      method: "tools/list",
      subject: "alice-sub",
      note: "shows 2 of 3",
      wristband: "r0",
    });
  });

  it("passes unchanged where all may be seen; numbers keep their spelling where not", async () => {
    expect(await world().list({ result: tools("read") })).toMatchObject({ kind: "pass" });
    const { list } = world({ ports: { decide: denied("write") } });
    const result = Buffer.from('{"tools":[{"name":"write"},{"name":"read","n":9007199254740993}]}');
    const effect = await list({ result });
    expect(effect.kind === "mutated" && effect.text).toBe('{"tools":[{"name":"read","n":9007199254740993}]}');
  });

  it.each(Object.values(LISTS))(
    "$method loses members that are another list's: nobody judges their names",
    async (own) => {
      const entry = { name: "read", uri: "file:///read", uriTemplate: "file:///{a}" };
      const all = Object.fromEntries(Object.values(LISTS).map(({ member }) => [member, [entry]]));
      const result = { ...all, nextCursor: "c", more: { tools: 1 } };
      const effect = await world().list({ method: own.method, result });
      const json = { [own.member]: [entry], nextCursor: "c", more: { tools: 1 } };
      expect(effect).toMatchObject({ kind: "mutated" });
      expect(effect.kind === "mutated" && JSON.parse(effect.text)).toEqual(json);
    },
  );

  it("asks policy as the library's visible does: own names, no arguments, listing", async () => {
    const { list, inputs } = world();
    await list({ result: tools("read") });
    expect(inputs.at(-1)?.mcp).toEqual({
      ...{ method: "tools/call", server: "s", kind: "tool", name: "read", arguments: {} },
      ...{ version: "2025-11-25", listing: true },
    });
    expect(inputs.at(-1)?.identity).toMatchObject({ subject: "alice-sub", method: "jwt", claims: ALICE.claims });
  });

  it("of several servers: names are taken apart, and one of no server is not shown", async () => {
    const { list, inputs } = world({ ports: { decide: denied("write") } });
    const result = tools("s_read", "s_write", "t_write", "t_x", "read", "u_read", "_read", "s_", "");
    const effect = await list({ services: ["s", "t"], result });
    expect(effect.kind === "mutated" && effect.json).toEqual(tools("s_read", "t_x"));
    expect(inputs.map(({ mcp }) => `${mcp.server} ${mcp.name}`)).toEqual(["s read", "s write", "t write", "t x"]);
  });

  it("prefixMode always: one server's names have its prefix, and one without is not shown", async () => {
    const { list } = world({ prefixMode: "always" });
    expect(await list({ result: tools("s_read", "read", "t_read") })).toMatchObject({ json: tools("s_read") });
  });

  it("resources and templates by URI; an entry without a name, and a URI that cannot be read, is not shown", async () => {
    const { list } = world({ ports: { decide: denied("file:///b") } });
    const resources = [
      { uri: "file:///a" },
      { uri: "file:///b" },
      { uri: "file:///../c" },
      { name: "x" },
      null,
      "file:///a",
    ];
    expect(await list({ method: "resources/list", result: { resources } })).toMatchObject({
      json: { resources: [{ uri: "file:///a" }] },
    });
    const templates = {
      resourceTemplates: [
        { uriTemplate: "s+repo://{owner}" },
        { uriTemplate: "t+repo://{owner}" },
        { uriTemplate: "repo://{o}" },
      ],
    };
    const several = {
      services: ["s", "u"].slice(0, 1).concat("t"),
      method: "resources/templates/list",
      result: templates,
    };
    expect(await list(several)).toMatchObject({ json: { resourceTemplates: templates.resourceTemplates.slice(0, 2) } });
  });

  it("what the configuration hides is not shown, and policy is not asked", async () => {
    const { list, inputs } = world();
    const effect = await list(
      { services: ["s", "t"], result: tools("s_read", "s_write", "t_x") },
      clientHeaders("token", "/servers/v/mcp"),
    );
    expect(effect).toMatchObject({ json: tools("s_read", "t_x") });
    expect(inputs.map(({ mcp }) => mcp.name)).toEqual(["read", "x"]);
  });

  it.each<[string, ResponseParts]>([
    ["no ticket: its request was never seen", { result: tools("read") }],
    ["a text of somebody's", { result: tools("read"), metadata: { mcp_authz: "AAAA" } }],
    [
      "no ticket, of a method without a request phase",
      { method: "completion/complete", result: { completion: { values: [] } } },
    ],
    ["no ticket, of a call", { method: "tools/call", result: { content: [] } }],
    ["an unknown method", { method: "tools/steal" }],
  ])("%s: nothing passes", async (_, parts) => {
    const { response, records } = world();
    expect(await response(parts)).toMatchObject({
      kind: "error",
      message: "Not allowed",
      data: { reason: "policy_denied" },
    });
    expect(records).toMatchObject([{ decision: "deny" }]);
  });

  it("a ticket is for its method, its servers and its time, and for serves with the same keys", async () => {
    let now = Date.now();
    const { request, response } = world({ now: () => now });
    const asked = await request({ method: "tools/list", params: undefined });
    const metadata = { mcp_authz: asked.kind === "pass" ? asked.ticket : "" };
    const result = tools("read");
    expect(await response({ metadata, result })).toMatchObject({ kind: "pass" });
    expect(await world({ now: () => now }).response({ metadata, result })).toMatchObject({ kind: "pass" });
    const other = world({ now: () => now, keys: [makeKey("k1") as unknown as SigningKey] });
    expect(await other.response({ metadata, result })).toMatchObject({ kind: "error" });
    for (const parts of [{ method: "prompts/list" }, { services: ["t"] }, { services: ["s", "t"] }, { services: [] }])
      expect(await response({ metadata, result, ...parts })).toMatchObject({ kind: "error" });
    now = ALICE.expiresAt * 1000;
    expect(await response({ metadata, result })).toMatchObject({ kind: "error" });
  });

  it.each<[string, unknown, string]>([
    ["no JSON", Buffer.from("{"), "upstream_unavailable"],
    ["a list", [], "upstream_unavailable"],
    ["no tools", {}, "upstream_unavailable"],
    ["too many bytes", { tools: [], text: "x".repeat(2 * 1024 * 1024) }, "upstream_unavailable"],
    ["too many members", { tools: [], list: Array.from({ length: 100_001 }, () => 1) }, "upstream_unavailable"],
    ["tools that are no list", { tools: { name: "read" } }, "upstream_unavailable"],
    ["tools twice", Buffer.from('{"tools":[],"tools":[{"name":"write"}]}'), "upstream_unavailable"],
    ["too many tools", tools(...Array.from({ length: 1001 }, (_, i) => `t${i}`)), "answer_too_large"],
  ])("%s: refused", async (_, result, reason) => {
    expect(await world().list({ result })).toMatchObject({ kind: "error", data: { reason } });
  });

  it("a policy that fails on the way refuses the whole list", async () => {
    const decide: Ports["decide"] = ({ mcp }) =>
      mcp.name === "b" ? refuse("policy_unavailable") : pass({ allow: true, revision: "r", note: null });
    expect(await world({ ports: { decide } }).list({ result: tools("a", "b") })).toMatchObject({
      kind: "error",
      code: -32_603,
    });
  });

  it("one revision answers for the whole list", async () => {
    const decide: Ports["decide"] = ({ mcp }) =>
      pass({ allow: true, revision: mcp.name === "b" ? "r2" : "r1", note: null });
    expect(await world({ ports: { decide } }).list({ result: tools("a", "b", "c") })).toMatchObject({
      json: tools("a", "c"),
    });
  });
});

describe("whatever comes", () => {
  it.each([PATHS.request, PATHS.response])(
    "%s: bytes that are no message, and none, are refused with a result",
    async (path) => {
      const { ask } = world();
      for (const bytes of [
        Buffer.alloc(0),
        Buffer.from("garbage"),
        Buffer.from([0x12, 0xff]),
        Buffer.from([0x12, 1, 0x61, 0x12, 1, 0x62]),
      ])
        expect(await ask(path, bytes)).toMatchObject({ kind: "error" });
    },
  );

  it("a time-out, an unwritten audit line and a bug are refused", async () => {
    const never = world({ ports: { identify: () => new Promise(() => {}) } });
    expect(await never.ask(PATHS.request, mcpRequest({ params: { name: "read" } }), 20)).toMatchObject({
      data: { reason: "deadline" },
    });
    const bug = world({
      ports: {
        fetchCredential: () => {
          throw new Error("SECRET");
        },
      },
    });
    const effect = await bug.request();
    expect(effect).toMatchObject({ kind: "error", code: -32_603, data: { reason: "internal" } });
    expect(JSON.stringify([effect, bug.records])).not.toContain("SECRET");
  });

  it("no secret and no argument stands in an audit line", async () => {
    const { request, records } = world();
    await request({ params: { name: "read", arguments: { text: "canary-1" } } });
    expect(JSON.stringify(records)).not.toMatch(/canary-1|Bearer/);
  });
});
