import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startTestBroker, type TestBroker } from "../../../test/fakes/broker.ts";
import { CREDENTIAL, reasonOf, type CallParts } from "../../../test/fakes/broker-client.ts";
import { bodyDigest } from "../../wristband/claims.ts";
import { startEraServer, type EraServer } from "../../../test/fakes/mcp-server.ts";

let upstream: EraServer;
let broker: TestBroker;

beforeAll(async () => {
  upstream = await startEraServer("modern");
  broker = await startTestBroker({
    s: { url: upstream.url, headers: ["authorization", "x-api-key"] },
    other: { url: upstream.url },
    open: { url: upstream.url, headers: null },
    mixed: { url: upstream.url, headers: ["x-api-key"] },
  });
  await broker.call(); // its era is known from here on
});
afterAll(async () => {
  await broker.close();
  await upstream.close();
});

let before = 0;
beforeEach(() => {
  before = upstream.requests.length;
});

describe("F18: a call's wristband names its body, byte for byte", () => {
  const seen =
    '{"jsonrpc":"2.0","id":1,"method":"METHOD","params":{"MEMBER":"NAME","arguments":{"note":"a","amount":1}}}';
  const others: [string, (body: string) => string][] = [
    ["another argument", (body) => body.replace(":1}", ":2}")],
    ["another id", (body) => body.replace('"id":1', '"id":2')],
    ["a space", (body) => body.replace('"id"', ' "id"')],
    ["a line break behind it", (body) => `${body}\n`],
    ["another spelling of a letter", (body) => body.replace('"note":"a"', '"note":"\\u0061"')],
    ["another spelling of a number", (body) => body.replace(":1}", ":1.0}")],
    ["a member more", (body) => body.replace('"amount":1', '"amount":1,"to":"mallory"')],
  ];
  const kinds = [
    ["tools/call", "name", "echo"],
    ["prompts/get", "name", "echo"],
    ["resources/read", "uri", "docs:echo"],
  ] as const;
  it.each(kinds)("%s", async (method, member, name) => {
    const body = seen.replace("METHOD", method).replace("MEMBER", member).replace("NAME", name);
    const claims = { body: bodyDigest(Buffer.from(body)) };
    expect((await broker.call({ method, name, body, claims })).status).toBe(200);
    const reached = upstream.requests.length;
    for (const [what, change] of others) {
      const reply = await broker.call({ method, name, body: change(body), claims });
      expect([what, reply.status, reasonOf(reply.messages[0])]).toEqual([what, 403, "wristband_invalid"]);
    }
    expect(upstream.requests).toHaveLength(reached);
  });
});

const CANARY = "client-token-canary";

describe("a call that its wristband does not prove is refused, and reaches nobody", () => {
  const names = (tools: object, more: object = {}) => ({ claims: { tools, ...more } });
  it.each<[string, CallParts]>([
    ["F01: no wristband", { headers: { "x-authorized-tools": undefined } }],
    ["F04: two wristbands", { headers: { "x-authorized-tools": ["a.b.c", "a.b.c"] } }],
    ["F01: a forged one", { headers: { "x-authorized-tools": "a.b.c" } }],
    ["a wristband for nothing", names({})],
    ["a list's wristband", names({ s: ["echo", "other"] })],
    ["M14: a list's wristband that happens to name this one tool", names({ s: ["echo"] }, { use: "list" })],
    ["a list over servers", names({ s: ["echo"], other: ["echo"] })],
    ["a list with an empty server", names({ s: ["echo"], other: [] })],
    ["a list over kinds", names({ s: ["echo"] }, { prompts: { s: ["echo"] } })],
    ["another tool", names({ s: ["other"] })],
    ["another server's tool", names({ other: ["echo"] })],
    ["another kind", names({}, { prompts: { s: ["echo"] } })],
    ["B37: the prefixed name on /servers", { ...names({ s: ["echo"] }), params: { name: "s_echo" } }],
    ["no x-mcp-server", { headers: { "x-mcp-server": undefined } }],
    ["another x-mcp-server", { headers: { "x-mcp-server": "other" } }],
    ["two x-mcp-server", { headers: { "x-mcp-server": ["s", "s"] } }],
    ["an empty x-mcp-server", { headers: { "x-mcp-server": "" } }],
    ["x-mcp-server in another case", { headers: { "x-mcp-server": "S" } }],
    ["on /mcp, a name without a prefix", { path: "/mcp", params: { name: "echo" } }],
    ["on /mcp, a prefix without a name", { path: "/mcp", params: { name: "s_" } }],
    ["on /mcp, another server's prefix", { path: "/mcp", params: { name: "other_echo" } }],
    [
      "LA-02: on /mcp, another server's prompt",
      { path: "/mcp", method: "prompts/get", params: { name: "other_echo" } },
    ],
    ["F18: no digest of the body", names({ s: ["echo"] }, { body: undefined })],
    ["F18: an empty digest", names({ s: ["echo"] }, { body: "" })],
    ["F18: the digest of no bytes", names({ s: ["echo"] }, { body: bodyDigest(Buffer.alloc(0)) })],
    ["F18: a list's wristband with a digest", names({ s: ["echo"] }, { use: "list", body: "A".repeat(43) })],
    ...["docs://a", "other+docs://a", "s+docs://b", "s+ui://a", "ui://other/a"].map((uri): [string, CallParts] => [
      `on /mcp, the resource ${uri}`,
      { path: "/mcp", method: "resources/read", ...names({}, { resources: { s: ["docs://a"] } }), params: { uri } },
    ]),
  ])("%s", async (_, parts) => {
    const reply = await broker.call(parts);
    expect([reply.status, reasonOf(reply.messages[0])]).toEqual([403, "wristband_invalid"]);
    expect(upstream.requests).toHaveLength(before);
  });
});

describe("MS-09: the credential", () => {
  const refused: [string, CallParts][] = [
    ["none came", { headers: { "x-upstream-authorization": undefined } }],
    ["it came twice", { headers: { "x-upstream-authorization": ["a", "b"] } }],
    [
      "a name without a value",
      { headers: { "x-upstream-authorization": undefined, "x-upstream-header": "x-api-key" } },
    ],
    ["a header that no chain fills", { headers: { "x-upstream-header": "x-other" } }],
    ["a header of the protocol", { headers: { "x-upstream-header": "mcp-session-id" } }],
    ["host", { headers: { "x-upstream-header": "host" } }],
    ["two names", { headers: { "x-upstream-header": ["authorization", "x-api-key"] } }],
    ["no header value", { headers: { "x-upstream-authorization": "caf\u00e9" } }],
    ["empty", { headers: { "x-upstream-authorization": "" } }],
    ["a server whose chain is none gets none", { server: "open" }],
    ["a server that wants it elsewhere", { server: "mixed" }],
  ];
  it.each(refused)("%s: refused", async (_, parts) => {
    const reply = await broker.call(parts);
    expect([reply.status, reasonOf(reply.messages[0])]).toEqual([503, "credential_unavailable"]);
    expect(upstream.requests).toHaveLength(before);
  });

  it("goes in the header that serve named, and in no other", async () => {
    const key = { "x-upstream-authorization": "key-canary", "x-upstream-header": "x-api-key" };
    await broker.call({ headers: key });
    await broker.call({ server: "mixed", headers: key });
    await broker.call({ server: "open", headers: { "x-upstream-authorization": undefined } });
    await broker.call();
    const calls = upstream
      .of("tools/call")
      .slice(-4)
      .map(({ headers }) => headers);
    expect(calls.map((headers) => [headers.authorization, headers["x-api-key"]])).toEqual([
      [undefined, "key-canary"],
      [undefined, "key-canary"],
      [undefined, undefined],
      [CREDENTIAL, undefined],
    ]);
    for (const headers of calls) expect(headers).not.toHaveProperty("x-upstream-authorization");
  });
});

describe("4.5, P6, P10: headers that go up", () => {
  it("are the protocol's, the trace and the credential; nothing else of the client, nothing of ours", async () => {
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await broker.call({
      modern: true,
      headers: {
        authorization: `Bearer ${CANARY}`,
        cookie: CANARY,
        "proxy-authorization": CANARY,
        "x-forwarded-for": CANARY,
        "x-request-id": CANARY,
        "user-agent": CANARY,
        "accept-encoding": "gzip",
        "accept-language": CANARY,
        origin: `https://${CANARY}`,
        tracestate: CANARY,
        baggage: CANARY,
        "mcp-session-id": CANARY,
        traceparent: trace,
        "mcp-param-region": "eu",
        "mcp-future": "yes",
      },
    });
    const arrival = upstream.of("tools/call").at(-1)!;
    expect(arrival.headers).toEqual({
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "tools/call",
      "mcp-name": "echo",
      "mcp-param-region": "eu",
      "mcp-future": "yes",
      traceparent: trace,
      authorization: CREDENTIAL,
      host: upstream.origin.replace("http://", ""),
      "content-length": String(arrival.body.length),
      connection: "keep-alive",
    });
    expect(JSON.stringify(arrival)).not.toContain(CANARY);
  });

  it.each([
    ["mcp-* twice", { "mcp-param-a": ["x", "y"] }],
    ["mcp-* beyond ASCII", { "mcp-param-a": "caf\u00e9" }],
    ["mcp-* empty", { "mcp-param-a": "" }],
  ])("C07: %s is refused", async (_, headers) => {
    const reply = await broker.call({ headers });
    expect([reply.status, reasonOf(reply.messages[0])]).toEqual([400, "header_malformed"]);
    expect(upstream.requests).toHaveLength(before);
  });

  it.each(["x", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "a".repeat(5000)])(
    "a trace of another form stays here: %s",
    async (traceparent) => {
      expect((await broker.call({ headers: { traceparent } })).status).toBe(200);
      expect(upstream.of("tools/call").at(-1)!.headers).not.toHaveProperty("traceparent");
    },
  );
});

describe("the broker's own limits", () => {
  it("B51: a body above limits.bodyBytes is refused, whole or in chunks", async () => {
    const body = " ".repeat(256 * 1024 + 1);
    for (const headers of [{}, { "transfer-encoding": "chunked" }]) {
      const reply = await broker.call({ body, headers });
      expect([reply.status, reasonOf(reply.messages[0])]).toEqual([413, "body_too_large"]);
    }
    expect(upstream.requests).toHaveLength(before);
  });
  it("a body of as many bytes passes", async () => {
    const call = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "echo" } });
    const reply = await broker.call({ body: call.padEnd(256 * 1024) });
    expect(reply.status).toBe(200);
    expect(upstream.of("tools/call").at(-1)!.body.length).toBeGreaterThan(256 * 1024);
  });
  it("B02: it reads strictly, as serve does", async () => {
    const body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"rm"}}';
    expect(reasonOf((await broker.call({ body })).messages[0])).toBe("body_malformed");
    expect(upstream.requests).toHaveLength(before);
  });
  it("B20: headers must agree with the body", async () => {
    const reply = await broker.call({ modern: true, headers: { "mcp-name": "other" } });
    expect([reply.status, reasonOf(reply.messages[0])]).toEqual([400, "header_mismatch"]);
  });
});
