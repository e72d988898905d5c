import { once } from "node:events";
import { gzipSync } from "node:zlib";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, describe, expect, it, vi } from "vitest";
import { startTestBroker, type TestBroker, type TestServer } from "../../../test/fakes/broker.ts";
import { CREDENTIAL, reasonOf, replyOf } from "../../../test/fakes/broker-client.ts";
import {
  event,
  json,
  result,
  startEraServer,
  stream,
  withHeaders,
  type Arrival,
  type FakeEra,
  type EraServer,
  type OnCall,
} from "../../../test/fakes/mcp-server.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function setup(
  era: FakeEra = "modern",
  onCall?: OnCall,
  server: Partial<TestServer> = {},
): Promise<{ upstream: EraServer; broker: TestBroker }> {
  const upstream = await startEraServer(era, onCall);
  const broker = await startTestBroker({ s: { url: upstream.url, ...server } });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  return { upstream, broker };
}

const CANARY = "upstream-canary";
const progress = (progressToken: string | number) => ({
  jsonrpc: "2.0",
  method: "notifications/progress",
  params: { progressToken, progress: 1 },
});

describe("bytes go on as they came", () => {
  const body =
    '{ "method":"tools/call",\n\t"params" : {"arguments":{"n":1.0,"e":1e2,"u":"\\u00e9é","big":9007199254740991,"float":12345678901234567000.0}, "name":"echo"},"id": "a\\u0062" , "jsonrpc":"2.0"}';
  /** What arrived, with the client's id in place of ours. */
  const asSent = (arrival: Arrival | undefined) => arrival?.body.replace(/"id": \d+ /, '"id": "a\\u0062" ');
  it.each<[FakeEra, boolean]>([
    ["modern", true],
    ["legacy", false],
    ["legacy", true],
  ])("to a %s server, modern client %s", async (era, modern) => {
    const { upstream, broker } = await setup(era);
    const meta =
      '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},';
    const sent = modern ? body.replace('"arguments"', `${meta}"arguments"`) : body;
    await broker.call({ body: sent, modern });
    expect(asSent(upstream.of("tools/call").at(-1))).toBe(sent);
  });

  it("LA-02, CL-08: on /mcp only the prefix goes, in body and header", async () => {
    const { upstream, broker } = await setup();
    const meta =
      '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},';
    const sent = body.replace('"name":"echo"', '"name":"s_ec\\u0068o"').replace('"arguments"', `${meta}"arguments"`);
    const reply = await broker.call({ path: "/mcp", body: sent, modern: true });
    expect(reply.status).toBe(200);
    const arrival = upstream.of("tools/call").at(-1);
    expect(asSent(arrival)).toBe(sent.replace('"s_ec\\u0068o"', '"echo"'));
    expect(arrival?.headers["mcp-name"]).toBe("echo");
  });

  it("answers come back byte for byte, with the client's id as she wrote it", async () => {
    const text = '{"jsonrpc":"2.0", "result":{"content":[],"a":1.0,"b":"\\u00e9"} ,"id":ID}';
    const { broker } = await setup("modern", (arrival, response) =>
      json(response, 200, text.replace("ID", String(arrival.message?.id))),
    );
    const reply = await broker.call({ body: body.replace("1e2", "1"), headers: { "mcp-method": "tools/call" } });
    expect(reply.text).toBe(text.replace("ID", '"a\\u0062"'));
  });
});

describe("headers that come back", () => {
  it("MS-10, C27: content-type and cache-control, and nothing of the server's", async () => {
    const evil = {
      "set-cookie": CANARY,
      server: CANARY,
      "x-powered-by": CANARY,
      "www-authenticate": CANARY,
      "mcp-session-id": CANARY,
      "cache-control": "public, max-age=600",
      etag: CANARY,
      "access-control-allow-origin": "*",
      "x-authorized-tools": CANARY,
      location: CANARY,
    };
    const { broker } = await setup("modern", (arrival, response) => {
      if (!arrival.body.includes("stream")) json(withHeaders(response, evil), 200, result(arrival));
      else stream(response, [event(result(arrival))], { headers: evil });
    });
    for (const id of [1, 2]) {
      const isStream = id === 2;
      const params = { arguments: isStream ? { stream: true } : {} };
      const { headers, status } = await broker.call({ id, params });
      expect(status).toBe(200);
      expect(Object.keys(headers).sort()).toEqual(
        ["cache-control", "connection", "content-type", "date", "keep-alive"]
          .concat(isStream ? "transfer-encoding" : "content-length")
          .filter((name) => name in headers)
          .sort(),
      );
      expect(headers["cache-control"]).toBe("no-store");
      expect(headers["content-type"]).toBe(isStream ? "text/event-stream" : "application/json");
      expect(JSON.stringify(headers)).not.toContain(CANARY);
    }
  });
});

describe("PO-12, B51: what is no answer is a refusal of ours", () => {
  const evil = { "www-authenticate": `Bearer ${CANARY}`, "set-cookie": CANARY };
  const status =
    (code: number, headers: Record<string, string> = {}): OnCall =>
    (arrival, response) =>
      json(withHeaders(response, { ...evil, ...headers }), code, {
        jsonrpc: "2.0",
        id: arrival.message?.id,
        error: { code: 1, message: CANARY },
      });
  const text =
    (body: string | Buffer, headers: Record<string, string> = {}): OnCall =>
    (_, response) => {
      response.writeHead(200, { "content-type": "application/json", ...evil, ...headers }).end(body);
    };
  const answerText = (arrival: Arrival) => JSON.stringify(result(arrival));
  it.each<[string, OnCall, string]>([
    ["401 with a challenge", status(401), "status_401"],
    ["403", status(403), "status_403"],
    ["402", status(402), "status_402"],
    ["405", status(405), "status_405"],
    ["429", status(429), "status_429"],
    ["500", status(500), "status_500"],
    ["503", status(503), "status_503"],
    ["a redirect", status(302, { location: "http://127.0.0.1:1/" }), "status_302"],
    ["307, which would send the body again", status(307, { location: "/elsewhere" }), "status_307"],
    ["202", status(202), "status_202"],
    ["204", (_, response) => response.writeHead(204).end(), "status_204"],
    ["201 with an answer", (a, response) => json(response, 201, result(a)), "status_201"],
    ["404 that is no JSON-RPC", (_, r) => r.writeHead(404, { "content-type": "text/html" }).end(CANARY), "status_404"],
    ["400 with a result", (a, response) => json(response, 400, result(a)), "status_400"],
    [
      "400 for nobody",
      (_, r) => json(r, 400, { jsonrpc: "2.0", error: { code: -32_020, message: CANARY } }),
      "status_400",
    ],
    ["HTML", (_, r) => r.writeHead(200, { "content-type": "text/html" }).end(CANARY), "content_type"],
    ["no content type", (_, r) => r.writeHead(200).end(CANARY), "content_type"],
    [
      "JSON in UTF-16",
      (a, r) => json(withHeaders(r, { "content-type": "application/json; charset=utf-16" }), 200, result(a)),
      "content_type",
    ],
    ["broken JSON", text(`{"a": ${CANARY}`), "not_an_answer"],
    ["nothing", text(""), "not_an_answer"],
    ["B01: a batch", (a, r) => json(r, 200, [result(a)]), "not_an_answer"],
    ["B08: a byte-order mark", (a, r) => json(r, 200, `\ufeff${answerText(a)}`), "not_an_answer"],
    ["B08: bytes that are not UTF-8", text(Buffer.from([0x7b, 0xff, 0x7d])), "not_an_answer"],
    [
      "B02: two ids",
      (a, r) => json(r, 200, `{"jsonrpc":"2.0","id":${a.message?.id},"id":2,"result":{}}`),
      "not_an_answer",
    ],
    ["a foreign id", (_, r) => json(r, 200, { jsonrpc: "2.0", id: 2, result: {} }), "not_an_answer"],
    [
      "the id as text",
      (a, r) => json(r, 200, { jsonrpc: "2.0", id: String(a.message?.id), result: {} }),
      "not_an_answer",
    ],
    ["the client's id", (_, r) => json(r, 200, { jsonrpc: "2.0", id: 1, result: {} }), "not_an_answer"],
    ["no id", (_, r) => json(r, 200, { jsonrpc: "2.0", result: {} }), "not_an_answer"],
    [
      "a request of its own",
      (a, r) => json(r, 200, { jsonrpc: "2.0", id: a.message?.id, method: "roots/list" }),
      "not_an_answer",
    ],
    [
      "B28: gzip",
      (a, r) => {
        const headers = { "content-type": "application/json", "content-encoding": "gzip" };
        r.writeHead(200, headers).end(gzipSync(answerText(a)));
      },
      "encoded",
    ],
    [
      "cut off",
      (_, r) => {
        r.writeHead(200, { "content-type": "application/json", "content-length": "100" });
        r.write("{", () => r.socket?.destroy());
      },
      "ECONNRESET",
    ],
    ["hung up before it spoke", (_, r) => r.socket?.destroy(), "ECONNRESET"],
    ["8 MiB and a byte", text(`{"a":"${"x".repeat(8 * 1024 * 1024)}"}`), "too_large"],
    [
      "a body without end",
      (_, r) => {
        r.writeHead(200, { "content-type": "application/json" });
        const more = () => r.destroyed || r.write(Buffer.alloc(1024 * 1024, 0x20), () => setImmediate(more));
        more();
      },
      "too_large",
    ],
    [
      "40 KB of headers",
      (a, r) => json(withHeaders(r, { "x-big": CANARY.padEnd(40_000, "x") }), 200, result(a)),
      "HPE_HEADER_OVERFLOW",
    ],
    [
      "a stream in gzip",
      (a, r) => stream(r, [gzipSync(event(result(a)))], { headers: { "content-encoding": "gzip" } }),
      "encoded",
    ],
  ])("%s", async (_, onCall, detail) => {
    const { broker } = await setup("modern", onCall);
    const reply = await broker.call({ headers: { accept: "application/json" } });
    expect([reply.status, reasonOf(reply.messages[0]), reply.messages[0]?.["id"]]).toEqual([
      502,
      "upstream_unavailable",
      1,
    ]);
    expect(reply.text + JSON.stringify(reply.headers)).not.toContain(CANARY);
    expect(broker.observed).toEqual([["s", "upstream_unavailable"]]);
    expect(broker.log.at(-1)).toContain(`"detail":"${detail}"`);
    expect(broker.log.join()).not.toMatch(/canary/);
  });

  it("a server that is not there", async () => {
    const upstream = await startEraServer();
    await upstream.close();
    const broker = await startTestBroker({ s: { url: upstream.url } });
    closing.push(() => broker.close());
    const reply = await broker.call();
    expect([reply.status, reasonOf(reply.messages[0])]).toEqual([502, "upstream_unavailable"]);
    expect(broker.log.at(-1)).toContain('"detail":"ECONNREFUSED"');
  });

  it("a call is never sent twice, and no redirect is followed", async () => {
    for (const onCall of [status(503), status(307, { location: "/mcp" }), ((_, r) => r.socket?.destroy()) as OnCall]) {
      const { upstream, broker } = await setup("sessions", onCall);
      await broker.call();
      expect(upstream.of("tools/call")).toHaveLength(1);
    }
  });
});

describe("errors of the server pass, under the status of the client's era", () => {
  const failing =
    (status: number, code: number): OnCall =>
    (arrival, response) =>
      json(response, status, { jsonrpc: "2.0", id: arrival.message?.id, error: { code, message: "as it said" } });
  it.each<[FakeEra, boolean, number, number, number]>([
    ["modern", true, 200, -32_602, 200],
    ["modern", true, 400, -32_602, 400],
    ["modern", true, 404, -32_601, 404],
    ["modern", true, 404, -32_602, 400],
    ["modern", false, 404, -32_601, 200],
    ["modern", false, 400, -32_021, 400],
    ["legacy", true, 200, -32_601, 404],
    ["legacy", true, 200, -32_602, 200],
    ["legacy", false, 200, -32_601, 200],
    ["legacy", false, 400, -32_602, 400],
    ["sessions", false, 404, -32_602, 200],
  ])("%s server, modern client %s: %i with %i is %i", async (era, modern, status, code, expected) => {
    const { broker } = await setup(era, failing(status, code));
    const reply = await broker.call({ modern, id: "x" });
    expect([reply.status, reply.messages[0]]).toEqual([
      expected,
      { jsonrpc: "2.0", id: "x", error: { code, message: "as it said" } },
    ]);
    expect(broker.observed).toEqual([["s", "answered"]]);
  });
  it("an error of the stateless revision without the id gets it", async () => {
    const error = { code: -32_020, message: "mismatch" };
    const { broker } = await setup("modern", (_, r) => json(r, 400, { jsonrpc: "2.0", id: null, error }));
    const reply = await broker.call({ modern: true });
    expect([reply.status, reply.messages[0]]).toEqual([400, { jsonrpc: "2.0", id: 1, error }]);
  });
});

describe("eras", () => {
  it("a client of today and a server of yesterday: its headers, and the result that she expects", async () => {
    const { upstream, broker } = await setup("legacy");
    const reply = await broker.call({ modern: true });
    const { headers } = upstream.of("tools/call")[0]!;
    expect(headers["mcp-protocol-version"]).toBe("2025-06-18");
    for (const name of ["mcp-method", "mcp-name", "mcp-session-id"]) expect(headers).not.toHaveProperty(name);
    expect(reply.text).toBe(
      '{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"ok"}]}}',
    );
  });
  it("a resource of a server of yesterday is never cached", async () => {
    const { broker } = await setup("legacy", (a, r) => json(r, 200, result(a, { contents: [], ttlMs: 5 })));
    const reply = await broker.call({ modern: true, method: "resources/read", name: "docs://x" });
    expect(reply.messages[0]?.["result"]).toEqual({
      resultType: "complete",
      ttlMs: 5,
      cacheScope: "private",
      contents: [],
    });
  });
  it("a client of yesterday and a server of today: _meta, mirrors and parameter headers", async () => {
    const inputSchema = { properties: { region: { type: "string", "x-mcp-header": "Region" } } };
    const { upstream, broker } = await setup("modern", undefined, { tools: [{ name: "echo", inputSchema }] });
    for (const params of [{}, { _meta: { progressToken: 7 } }, { _meta: {} }])
      await broker.call({ params: { arguments: { region: "é" }, ...params } });
    for (const { headers, message } of upstream.of("tools/call")) {
      expect(headers).toMatchObject({
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "echo",
        "mcp-param-region": "=?base64?w6k=?=",
      });
      expect(message?.params?.["_meta"]).toMatchObject({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { name: "mcp-authz" },
      });
    }
    expect(upstream.of("tools/call")[1]?.message?.params?.["_meta"]).toMatchObject({ progressToken: 7 });
  });
  it.each([
    ["that she left out", {}, undefined],
    ["that say something else", { region: "eu" }, "eu"],
  ])("B23: a client of yesterday cannot say parameter headers of arguments %s", async (_, args, expected) => {
    const inputSchema = { properties: { region: { type: "string", "x-mcp-header": "Region" } } };
    for (const tools of [[{ name: "echo", inputSchema }], []]) {
      const { upstream, broker } = await setup("modern", undefined, { tools });
      await broker.call({ params: { arguments: args }, headers: { "mcp-param-region": "us", "mcp-other": "x" } });
      const { headers } = upstream.of("tools/call")[0]!;
      expect([headers["mcp-param-region"], headers["mcp-other"]]).toEqual([
        tools.length > 0 ? expected : undefined,
        "x",
      ]);
    }
  });
  it("B23: parameter headers of a client of today say what the body says", async () => {
    const properties = { region: { "x-mcp-header": "Region" }, tier: { "x-mcp-header": "Tier" } };
    const { upstream, broker } = await setup("modern", undefined, {
      tools: [{ name: "echo", inputSchema: { properties } }],
    });
    const headers = { "mcp-param-region": "us", "mcp-param-tier": "gold", "mcp-param-unknown": "x" };
    await broker.call({ modern: true, params: { arguments: { region: "eu" } }, headers });
    const arrived = upstream.of("tools/call")[0]!.headers;
    expect(arrived).toMatchObject({ "mcp-param-region": "eu", "mcp-param-unknown": "x" });
    expect(arrived).not.toHaveProperty("mcp-param-tier");
  });
  it("B21: a name beyond ASCII is encoded in Mcp-Name", async () => {
    const { upstream, broker } = await setup();
    await broker.call({ method: "resources/read", name: "docs://a/é" });
    expect(upstream.of("resources/read")[0]?.headers["mcp-name"]).toBe("=?base64?ZG9jczovL2Evw6k=?=");
  });
  it.each([
    ["asks back", { resultType: "input_required", inputRequests: {} }],
    ["hands out a task", { resultType: "task" }],
    ["speaks in riddles", { resultType: ["complete"] }],
  ])("a client of yesterday cannot answer a server that %s", async (_, value) => {
    for (const streams of [false, true]) {
      const { broker } = await setup("modern", (a, r) =>
        streams ? stream(r, [event(result(a, value))]) : json(r, 200, result(a, value)),
      );
      const reply = await broker.call();
      expect(reply.status).toBe(streams ? 200 : 400);
      expect([reasonOf(reply.messages[0]), reply.messages[0]?.["error"]]).toEqual([
        "capability_missing",
        expect.objectContaining({ code: -32_021 }),
      ]);
      const today = await broker.call({ modern: true });
      expect(today.messages[0]?.["result"]).toEqual(value);
    }
  });
  it("is learned once, for all callers", async () => {
    const { upstream, broker } = await setup();
    await Promise.all(Array.from({ length: 20 }, (_, id) => broker.call({ id })));
    expect(upstream.of("server/discover")).toHaveLength(1);
  });
  it("is learned anew when the server was exchanged for one of the other era", async () => {
    const { upstream, broker } = await setup("modern");
    expect((await broker.call()).status).toBe(200);
    upstream.era = "sessions";
    expect((await broker.call()).status).toBe(502);
    expect((await broker.call()).status).toBe(200);
    upstream.era = "modern";
    expect((await broker.call()).status).toBe(200);
  });
  it("D18: what a server says to a caller whom it does not know is no other caller's evidence", async () => {
    const { upstream, broker } = await setup();
    upstream.onAny = ({ headers, message }, response) => {
      if (headers.authorization !== "Bearer unknown") return false;
      const answer = () => json(withHeaders(response, { "content-type": "text/plain" }), 404, "not found");
      if (message?.method === "server/discover") setTimeout(answer, 100);
      else answer();
      return true;
    };
    const alice = broker.call({ headers: { "x-upstream-authorization": "Bearer unknown" } });
    await vi.waitFor(() => expect(upstream.of("server/discover")).toHaveLength(1));
    const bob = await broker.call({ claims: { sub: "bob" } });
    expect([bob.status, (await alice).status]).toEqual([200, 502]);
  });
  it.each([401, 403, 503])(
    "%i to the probe is no evidence: the call is refused, the next one asks again",
    async (code) => {
      const { upstream, broker } = await setup();
      upstream.onAny = (_, response) => {
        json(response, code, {});
        return true;
      };
      expect((await broker.call()).status).toBe(502);
      upstream.onAny = () => false;
      expect((await broker.call()).status).toBe(200);
      expect(upstream.of("initialize")).toHaveLength(0);
    },
  );
});

describe("sessions", () => {
  it("B31: no client's session reaches a server, and no server's a client", async () => {
    const { upstream, broker } = await setup("sessions");
    const reply = await broker.call({ headers: { "mcp-session-id": "client-session" } });
    expect(reply.status).toBe(200);
    const [session] = upstream.sessions;
    expect(upstream.of("tools/call")[0]?.headers["mcp-session-id"]).toBe(session);
    expect(reply.text + JSON.stringify(reply.headers)).not.toContain(session);
    expect(JSON.stringify(upstream.requests)).not.toContain("client-session");
  });
  it("B32: 200 calls of one user with one id get their own answers", async () => {
    const { upstream, broker } = await setup("sessions", (arrival, response) => {
      const { say: said } = arrival.message!.params!["arguments"] as { say: string };
      const body = result(arrival, { said });
      const isOdd = Number(said.slice(7)) % 2 === 1;
      setTimeout(() => (isOdd ? json(response, 200, body) : stream(response, [event(body)])), Math.random() * 50);
    });
    const replies = await Promise.all(
      Array.from({ length: 200 }, (_, i) => broker.call({ id: 1, params: { arguments: { say: `canary-${i}` } } })),
    );
    replies.forEach((reply, i) =>
      expect(reply.messages).toEqual([{ jsonrpc: "2.0", id: 1, result: { said: `canary-${i}` } }]),
    );
    expect(upstream.of("initialize")).toHaveLength(1);
    expect(new Set(upstream.of("tools/call").map(({ message }) => message?.id)).size).toBe(200);
  });
  it("B33: two users, two sessions", async () => {
    const { upstream, broker } = await setup("sessions");
    for (const sub of ["alice", "bob"]) await broker.call({ claims: { sub } });
    const used = upstream.of("tools/call").map(({ headers }) => headers["mcp-session-id"]);
    expect(new Set(used).size).toBe(2);
  });
  it("ids of any form come back as the client wrote them", async () => {
    const { broker } = await setup("sessions");
    for (const id of ['"x"', "0", "-5", '"\\u0031"', "9007199254740991"]) {
      const body = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo"}}`;
      expect((await broker.call({ body })).text).toContain(`"id":${id},`);
    }
  });
  it("a server that forgot the session has not processed the call: once more, in a new one", async () => {
    const { upstream, broker } = await setup("sessions");
    await broker.call();
    upstream.forgetSessions();
    expect((await broker.call()).status).toBe(200);
    expect([upstream.of("initialize").length, upstream.of("tools/call").length]).toEqual([2, 3]);
  });
  it("SDK v1's examples say 400 for that", async () => {
    const { upstream, broker } = await setup("sessions");
    await broker.call();
    const [old] = upstream.sessions;
    upstream.onAny = ({ headers }, response) => {
      if (headers["mcp-session-id"] !== old) return false;
      json(response, 400, { jsonrpc: "2.0", error: { code: -32_000, message: "No valid session ID provided" } });
      return true;
    };
    expect((await broker.call()).status).toBe(200);
  });
  it("a server that forgets each session at once is given up after the second", async () => {
    const { upstream, broker } = await setup("sessions");
    upstream.onAny = ({ message }, response) => {
      if (message?.method !== "tools/call") return false;
      json(response, 404, { jsonrpc: "2.0", id: null, error: { code: -32_001, message: "Session not found" } });
      return true;
    };
    const reply = await broker.call();
    expect([reply.status, reasonOf(reply.messages[0])]).toEqual([502, "upstream_unavailable"]);
    expect(upstream.of("tools/call")).toHaveLength(2);
  });
  it("40 callers of a forgotten session open one new one", async () => {
    const { upstream, broker } = await setup("sessions");
    await broker.call();
    upstream.forgetSessions();
    const replies = await Promise.all(Array.from({ length: 40 }, (_, id) => broker.call({ id })));
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
    expect(upstream.of("initialize").length).toBeLessThanOrEqual(3);
  });
  it("all end with the broker, at their servers too", async () => {
    const upstream = await startEraServer("sessions");
    const broker = await startTestBroker({ s: { url: upstream.url } });
    closing.push(() => upstream.close());
    await broker.call();
    expect(upstream.sessions.size).toBe(1);
    await broker.close();
    expect(upstream.sessions.size).toBe(0);
    expect(upstream.of("DELETE")[0]?.headers.authorization).toBe(CREDENTIAL);
  });
});

it("K05: one caller's calls take no more than her turns", async () => {
  const held: (() => void)[] = [];
  const upstream = await startEraServer("modern", (a, r) => held.push(() => json(r, 200, result(a))));
  const broker = await startTestBroker({ s: { url: upstream.url } }, { maxCallsPerCaller: 3 });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  const first = Array.from({ length: 3 }, () => broker.call());
  await vi.waitFor(() => expect(held).toHaveLength(3));
  const fourth = await broker.call();
  expect([fourth.status, fourth.headers["retry-after"], reasonOf(fourth.messages[0])]).toEqual([
    429,
    "1",
    "rate_limited",
  ]);
  const others = [{ sub: "bob" }, { idp: "https://other.example.com" }].map((claims) => broker.call({ claims }));
  await vi.waitFor(() => expect(held).toHaveLength(5));
  for (const answer of held.splice(0)) answer();
  for (const { status } of await Promise.all([...first, ...others])) expect(status).toBe(200);
  const after = broker.call();
  await vi.waitFor(() => expect(held).toHaveLength(1));
  held[0]?.();
  expect((await after).status).toBe(200);
});

it("K05, P14: an answer that its client does not read is a call under way", async () => {
  const big = { text: "x".repeat(7 * 1024 * 1024) };
  const upstream = await startEraServer("modern", (a, r) => json(r, 200, result(a, a.body.includes("big") ? big : {})));
  const broker = await startTestBroker({ s: { url: upstream.url } }, { maxCallsPerCaller: 1 });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  const slow = await broker.open({ params: { arguments: { big: true } } });
  slow.on("error", () => {}).pause();
  await vi.waitFor(() => expect(broker.observed).toHaveLength(1));
  expect((await broker.call()).status).toBe(429);
  slow.destroy();
  await vi.waitFor(async () => expect((await broker.call()).status).toBe(200));
});

describe("P5: answers stay with their callers", () => {
  it.each<FakeEra>(["modern", "legacy", "sessions"])(
    "B32: a %s server that finds whom it answers by the id alone (CVE-2026-25536)",
    async (era) => {
      const waiting = new Map<unknown, ServerResponse>();
      const arrived: Arrival[] = [];
      const { broker } = await setup(era, (arrival, response) => {
        waiting.set(arrival.message?.id, response);
        if (arrived.push(arrival) < 20) return;
        for (const one of arrived) {
          const to = waiting.get(one.message?.id);
          if (to?.headersSent === false) json(to, 200, result(one, { of: one.headers.authorization }));
        }
      });
      const replies = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          broker.call({ id: 1, claims: { sub: `user-${i}` }, headers: { "x-upstream-authorization": `Bearer ${i}` } }),
        ),
      );
      replies.forEach(({ messages }, i) =>
        expect(messages).toEqual([{ jsonrpc: "2.0", id: 1, result: { of: `Bearer ${i}` } }]),
      );
    },
  );
});

describe("TB-07: time", () => {
  const hang: OnCall = () => {};
  it.each<FakeEra>(["modern", "sessions"])(
    "a hung server (%s) is cut with 504, and the next call works",
    async (era) => {
      const { upstream, broker } = await setup(era, hang, { timeoutMs: 300 });
      const reply = await broker.call();
      expect([reply.status, reasonOf(reply.messages[0]), reply.messages[0]?.["id"]]).toEqual([
        504,
        "upstream_timeout",
        1,
      ]);
      upstream.onCall = (arrival, response) => json(response, 200, result(arrival));
      expect((await broker.call()).status).toBe(200);
    },
  );
  it("a hung probe and a hung handshake are cut as well", async () => {
    const { upstream, broker } = await setup("sessions", undefined, { timeoutMs: 300 });
    for (const method of ["server/discover", "initialize", "notifications/initialized"]) {
      upstream.onAny = ({ message }) => message?.method === method;
      expect((await broker.call()).status).toBe(504);
    }
    upstream.onAny = () => false;
    expect((await broker.call()).status).toBe(200);
  });
  it("a slow drip of one answer is cut: its time is for the whole", async () => {
    const { broker } = await setup(
      "modern",
      (_, response) => {
        response.writeHead(200, { "content-type": "application/json" });
        const timer = setInterval(() => response.write(" "), 50);
        response.on("close", () => clearInterval(timer));
      },
      { timeoutMs: 400 },
    );
    expect((await broker.call()).status).toBe(504);
  });
  it("a stream ends after its silence, not before", async () => {
    const { broker } = await setup(
      "modern",
      (_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        let left = 6;
        const timer = setInterval(() => (left-- > 0 ? response.write(event(progress(5))) : clearInterval(timer)), 150);
      },
      { timeoutMs: 500 },
    );
    const reply = await broker.call({ params: { _meta: { progressToken: 5 } } });
    expect(reply.messages).toHaveLength(7);
    expect([reasonOf(reply.messages[6]), reply.messages[6]?.["id"]]).toEqual(["upstream_timeout", 1]);
  });
  it("a stream ends with its caller's token", async () => {
    const { broker } = await setup("modern", (_, response) => stream(response, [": hello\n\n"], { end: false }));
    const soon = Math.floor(Date.now() / 1000) + 2;
    const reply = await broker.call({ claims: { exp: soon, caller_exp: soon } });
    expect(Date.now() / 1000).toBeGreaterThanOrEqual(soon);
    expect(reasonOf(reply.messages[0])).toBe("token_expired");
  });
  it("a client that leaves takes her call along", async () => {
    for (const beginning of [null, event(progress(1))]) {
      let aborted = false;
      const { broker } = await setup("modern", (_, response) => {
        response.on("close", () => (aborted = true));
        if (beginning !== null) stream(response, [beginning], { end: false });
      });
      if (beginning === null) broker.leave({}, 100);
      else (await broker.open({ params: { _meta: { progressToken: 1 } } })).destroy();
      await vi.waitFor(() => expect(aborted).toBe(true));
      await vi.waitFor(() => expect(broker.observed.at(-1)).toEqual(["s", "left"]));
    }
  });
});

it("a call that nobody waits for is cancelled at a server of yesterday, by the id that it knows", async () => {
  for (const era of ["sessions", "legacy"] as const) {
    const { upstream, broker } = await setup(era, (_, r) => stream(r, [event(progress(1))], { end: false }));
    (await broker.open({ params: { _meta: { progressToken: 1 } } })).destroy();
    await vi.waitFor(() => expect(upstream.of("notifications/cancelled")).toHaveLength(1));
    const [{ headers, message } = expect.fail()] = upstream.of("notifications/cancelled");
    const call = upstream.of("tools/call")[0]!;
    expect(message?.params).toEqual({ requestId: call.message?.id });
    expect(headers["mcp-session-id"]).toBe(call.headers["mcp-session-id"]);
    expect(headers.authorization).toBe(CREDENTIAL);
  }
});

it("path and query of the server's URL are sent as written", async () => {
  const upstream = await startEraServer("modern");
  const broker = await startTestBroker({ s: { url: `${upstream.origin}/a%2Fb/mcp?tenant=1&x=%20` } });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  await broker.call();
  expect(new Set(upstream.requests.map(({ path }) => path))).toEqual(new Set(["/a%2Fb/mcp?tenant=1&x=%20"]));
});

describe("B50: streams", () => {
  const evil = (id: unknown) => [
    event({ jsonrpc: "2.0", id: 99, method: "sampling/createMessage", params: { canary: CANARY } }),
    event({ jsonrpc: "2.0", id, method: "elicitation/create", params: { canary: CANARY } }),
    event({ jsonrpc: "2.0", id: 1, result: { canary: CANARY } }),
    event({ jsonrpc: "2.0", id: String(id), result: { canary: CANARY } }),
    event({ jsonrpc: "2.0", id: null, error: { code: 1, message: CANARY } }),
    event(`/messages?session=${CANARY}`, "endpoint"),
    event({ jsonrpc: "2.0", id: 1, result: { canary: CANARY } }, "other"),
    event({ jsonrpc: "2.0", method: "tools/call", params: { canary: CANARY } }),
    event({ jsonrpc: "2.0", id, result: {}, method: CANARY }),
    event(`{"jsonrpc":"2.0","id":${String(id)},"id":2,"result":{"canary":"${CANARY}"}}`),
    event(`[{"jsonrpc":"2.0","id":${String(id)},"result":{"canary":"${CANARY}"}}]`),
    event(`{broken ${CANARY}`),
    event(progress(CANARY)),
  ];
  it("only notifications of this call and its answer pass; the rest is dropped and counted", async () => {
    const log = { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "x" } };
    const { broker } = await setup("modern", (arrival, response) =>
      stream(response, [
        ...evil(arrival.message?.id),
        event(log),
        event(progress(5)),
        event(result(arrival)),
        event(result(arrival)),
      ]),
    );
    const reply = await broker.call({ params: { _meta: { progressToken: 5 } } });
    expect(reply.messages).toEqual([log, progress(5), { jsonrpc: "2.0", id: 1, result: expect.anything() as unknown }]);
    expect(reply.text).not.toContain(CANARY);
    expect(reply.text).not.toMatch(/^(id|retry):/m);
    expect(broker.seen.dropped).toBe(evil(1).length);
  });
  it("SP-07: a client that takes no streams gets the answer alone, in JSON", async () => {
    const { broker } = await setup("modern", (arrival, response) =>
      stream(response, [event(progress(5)), event(result(arrival))]),
    );
    const reply = await broker.call({
      headers: { accept: "application/json" },
      params: { _meta: { progressToken: 5 } },
    });
    expect([reply.status, reply.headers["content-type"], reply.messages.length]).toEqual([200, "application/json", 1]);
  });
  it("SP-07: a client that takes streams only gets a stream", async () => {
    const { broker } = await setup();
    const reply = await broker.call({ headers: { accept: "text/event-stream" } });
    expect([reply.headers["content-type"], reply.messages.length]).toEqual(["text/event-stream", 1]);
  });
  it.each<[string, (arrival: Arrival) => readonly (string | Buffer)[]]>([
    ["CRLF", (a) => [event(result(a)).replaceAll("\n", "\r\n")]],
    ["CR", (a) => [event(result(a)).replaceAll("\n", "\r")]],
    ["a byte-order mark", (a) => [`\ufeff${event(result(a))}`]],
    ["comments and an empty event before", (a) => [": hi\n\n", "id: 1\ndata: \n\n", event(result(a))]],
    [
      "data over several lines",
      (a) => [`data: ${JSON.stringify(result(a), null, 1).replaceAll("\n", "\ndata: ")}\n\n`],
    ],
    ["byte by byte", (a) => [...Buffer.from(event(result(a)))].map((byte) => Buffer.from([byte]))],
    ["no empty line at its end", (a) => [event(result(a)).trimEnd()]],
  ])("are read in any form: %s", async (_, pieces) => {
    const { broker } = await setup("sessions", (arrival, response) => stream(response, pieces(arrival)));
    const reply = await broker.call({ id: "mine" });
    expect(reply.messages).toEqual([
      { jsonrpc: "2.0", id: "mine", result: { content: [{ type: "text", text: "ok" }] } },
    ]);
  });
  it.each<[string, OnCall, string]>([
    ["ends", (_, r) => stream(r, [event(progress(5))]), "no_answer"],
    ["ends in the middle of an event", (a, r) => stream(r, [event(result(a)).slice(0, -20)]), "no_answer"],
    [
      "breaks off",
      (_, r) => {
        stream(r, [event(progress(5))], { end: false });
        setTimeout(() => r.socket?.destroy(), 50);
      },
      "ECONNRESET",
    ],
    ["sends an event of 9 MiB", (_, r) => stream(r, [`data: ${"x".repeat(9 * 1024 * 1024)}\n\n`]), "too_large"],
    [
      "sends a line without end",
      (_, r) => {
        r.writeHead(200, { "content-type": "text/event-stream" });
        const more = () => r.destroyed || r.write(Buffer.alloc(1024 * 1024, 0x78), () => setImmediate(more));
        more();
      },
      "too_large",
    ],
  ])("one that %s before its answer gets a last event of ours", async (_, onCall, detail) => {
    const { broker } = await setup("modern", onCall);
    const reply = await broker.call({ id: "x", params: { _meta: { progressToken: 5 } } });
    expect(reply.status).toBe(200);
    expect([reasonOf(reply.messages.at(-1)), reply.messages.at(-1)?.["id"]]).toEqual(["upstream_unavailable", "x"]);
    expect(broker.log.at(-1)).toContain(`"detail":"${detail}"`);
    const asJson = await broker.call({ headers: { accept: "application/json" } });
    expect([asJson.status, reasonOf(asJson.messages[0])]).toEqual([502, "upstream_unavailable"]);
  });
  it.each<[string, string, Record<string, string>]>([
    ["in an encoding", event(progress(5)), { "content-encoding": "gzip" }],
    ["with an event that is too large", `data: ${"x".repeat(8 * 1024 * 1024 + 1)}\n\n`, {}],
  ])("B51: one %s that does not end is left: nobody holds its connection", async (_, beginning, headers) => {
    let left = false;
    const { broker } = await setup("modern", (_, response) => {
      response.on("close", () => (left = true));
      stream(response, [beginning], { end: false, headers });
    });
    expect(reasonOf((await broker.call()).messages.at(-1))).toBe("upstream_unavailable");
    await vi.waitFor(() => expect(left).toBe(true), 2000);
  });
  it("each event leaves when it comes", async () => {
    let finish = () => {};
    const { broker } = await setup("modern", (arrival, response) => {
      stream(response, [event(progress(5))], { end: false });
      finish = () => response.end(event(result(arrival)));
    });
    const response = await broker.open({ params: { _meta: { progressToken: 5 } } });
    const [first] = (await once(response, "data")) as [Buffer];
    expect(first.toString()).toContain("notifications/progress");
    finish();
    expect((await replyOf(response)).text).toContain('"result"');
  });
  it("a server is slowed down to its client's pace", async () => {
    let sent = 0;
    const big = event({ jsonrpc: "2.0", method: "notifications/message", params: { data: "x".repeat(64 * 1024) } });
    const { broker } = await setup("modern", (_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const more = () => {
        if (response.destroyed || sent > 1000) return;
        sent += 1;
        if (response.write(big)) setImmediate(more);
        else response.once("drain", more);
      };
      more();
    });
    const response = await broker.open();
    response.pause();
    let before = -1;
    await vi.waitFor(
      () => {
        const now = sent;
        const stands = now === before;
        before = now;
        expect(stands).toBe(true);
      },
      { interval: 200, timeout: 5000 },
    );
    expect(sent).toBeLessThan(400);
    response.destroy();
    await vi.waitFor(() => expect(broker.observed.at(-1)).toEqual(["s", "left"]));
  });
  it("a client that does not read has her server's patience, no more", async () => {
    const big = event({ jsonrpc: "2.0", method: "notifications/message", params: { data: "x".repeat(256 * 1024) } });
    const { broker } = await setup(
      "modern",
      (_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        const more = () => {
          if (response.destroyed) return;
          if (response.write(big)) setImmediate(more);
          else response.once("drain", more);
        };
        more();
      },
      { timeoutMs: 400 },
    );
    const response = await broker.open();
    response.pause();
    response.on("error", () => {});
    await vi.waitFor(() => expect(broker.observed.at(-1)).toEqual(["s", "upstream_timeout"]), 5000);
  });
  it("those under way get a last word when the broker ends", async () => {
    const upstream = await startEraServer("modern", (_, r) => stream(r, [": hi\n\n"], { end: false }));
    const broker = await startTestBroker({ s: { url: upstream.url } });
    closing.push(() => upstream.close());
    const response: IncomingMessage = await broker.open();
    const closed = broker.close(100);
    const reply = await replyOf(response);
    expect(reasonOf(reply.messages[0])).toBe("upstream_unavailable");
    await closed;
  });
});

describe("F17: arguments that a server reads without regard to case", () => {
  const inputSchema = { type: "object", properties: { force: { type: "boolean" } } };
  it.each([false, true])("are refused, modern client %s; those of the schema go on", async (modern) => {
    const { upstream, broker } = await setup("modern", undefined, { tools: [{ name: "echo", inputSchema }] });
    const reply = await broker.call({ modern, params: { arguments: { Force: true } } });
    expect([reply.status, reasonOf(reply.messages[0])]).toEqual([400, "params_invalid"]);
    expect(upstream.of("tools/call")).toHaveLength(0);
    expect((await broker.call({ modern, params: { arguments: { force: true, other: 1 } } })).status).toBe(200);
  });
});

describe("what is told of a call", () => {
  it("one line each, with nothing of the request or the answer in it", async () => {
    const { broker } = await setup("modern", (arrival, response) =>
      json(response, 200, result(arrival, { a: CANARY })),
    );
    await broker.call({ params: { arguments: { secret: CANARY } } });
    expect(broker.log).toHaveLength(1);
    expect(JSON.parse(broker.log[0] ?? "")).toEqual({
      name: "relayed",
      request_id: expect.any(String) as string,
      server: "s",
      method: "tools/call",
      outcome: "answered",
      ms: expect.any(Number) as number,
    });
  });
});
