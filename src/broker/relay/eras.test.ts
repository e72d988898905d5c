// Relayed calls between clients and servers of different revisions, and the sessions of older ones.
import type { ServerResponse } from "node:http";
import { describe, expect, it, vi } from "vitest";
import { CREDENTIAL, reasonOf } from "../../../test/fakes/broker-client.ts";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import {
  event,
  json,
  result,
  startEraServer,
  stream,
  withHeaders,
  type Arrival,
  type FakeEra,
} from "../../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";

const { setup, closing } = relayFixture();

describe("eras", () => {
  it("a client of today and a server of yesterday: its headers, and the result that she expects", async () => {
    const { upstream, broker } = await setup("legacy");
    const reply = await broker.call({ modern: true });
    const { headers } = upstream.of("tools/call")[0]!;
    expect(headers["mcp-protocol-version"]).toBe("2025-06-18");
    for (const name of ["mcp-method", "mcp-name", "mcp-session-id"]) expect(headers).not.toHaveProperty(name);
    expect(reply.text).toBe(
      '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"ok"}],"resultType":"complete"}}',
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
  it.each(["legacy", "sessions"] as const)(
    "a client of today and a server of yesterday (%s): her _meta without the revision",
    async (era) => {
      const { upstream, broker } = await setup(era);
      const own = { progressToken: "\u00e9", "com.example/a": { b: [1.0, "\\u0061"] }, traceparent: "x" };
      const meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28", ...own };
      const rest = {
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { name: "c", version: "1" },
      };
      expect(
        (await broker.call({ modern: true, params: { _meta: { ...meta, ...rest }, arguments: own } })).status,
      ).toBe(200);
      const [call] = upstream.of("tools/call");
      expect(call?.params).toEqual({ name: "echo", _meta: own, arguments: own });
    },
  );

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
  describe("N-03: parameter headers of a client of today", () => {
    const LONG = "l".repeat(128);
    const properties = {
      region: { type: "string", "x-mcp-header": "Region" },
      size: { type: "integer", "x-mcp-header": "Size" },
      deep: { properties: { dry: { type: "boolean", "x-mcp-header": "X-Dry" } } },
      long: { type: "string", "x-mcp-header": LONG },
    };
    const tools = [{ name: "echo", inputSchema: { properties } }];
    const sentinel = (text: string | Buffer) => `=?base64?${Buffer.from(text).toString("base64")}?=`;

    it.each<[string, object, Record<string, string>]>([
      ["agree", { region: "eu", size: 42 }, { region: "eu", size: "42" }],
      ["agree as a sentinel, in any case of the name", { region: "é" }, { region: sentinel("é") }],
      ["agree as a number", { size: 42 }, { size: "42.0" }],
      ["agree below an object", { deep: { dry: false } }, { "x-dry": "false" }],
      ["say an empty text", { region: "" }, { region: sentinel("") }],
      ["are absent as their arguments are", { region: null }, {}],
    ])("that %s are relayed, as the body says them", async (_, args, stated) => {
      for (const era of ["modern", "legacy"] as const) {
        const { upstream, broker } = await setup(era, undefined, { tools });
        const headers = Object.fromEntries(Object.entries(stated).map(([name, value]) => [`mcp-param-${name}`, value]));
        expect((await broker.call({ modern: true, params: { arguments: args }, headers })).status).toBe(200);
        expect(upstream.of("tools/call")).toHaveLength(1);
      }
    });

    it.each<[string, object, Record<string, string>]>([
      ["contradict", { region: "eu" }, { region: "us" }],
      ["contradict in case", { region: "eu" }, { region: "EU" }],
      ["contradict a number", { size: 42 }, { size: "43" }],
      ["say a number as another text", { size: 42 }, { size: "0x2a" }],
      ["contradict below an object", { deep: { dry: false } }, { "x-dry": "true" }],
      ["contradict under the longest name", { long: "a" }, { [LONG]: "b" }],
      ["are missing", { region: "eu" }, {}],
      ["are missing, one of two", { region: "eu", size: 1 }, { region: "eu" }],
      ["are missing for an empty text", { region: "" }, {}],
      ["are no Base64", { region: "us" }, { region: "=?base64?dX!!M=?=" }],
      ["are no canonical Base64", { region: "us" }, { region: "=?base64?dXM?=" }],
      ["are not UTF-8", { region: "us" }, { region: sentinel(Buffer.from([0xff])) }],
      ["hide another text", { region: "us" }, { region: sentinel("eu") }],
    ])("that %s are refused, and no server is asked", async (_, args, stated) => {
      for (const era of ["modern", "legacy"] as const) {
        const { upstream, broker } = await setup(era, undefined, { tools });
        const headers = Object.fromEntries(Object.entries(stated).map(([name, value]) => [`mcp-param-${name}`, value]));
        const reply = await broker.call({ modern: true, params: { arguments: args }, headers });
        expect([reply.status, reply.messages[0]?.["error"]]).toMatchObject([
          400,
          { code: -32_020, message: expect.stringMatching(/: mcp-param-[a-z-]+ is /) as string },
        ]);
        expect(upstream.of("tools/call")).toEqual([]);
      }
    });

    it("B23: one without an argument goes nowhere, one of no annotation goes on", async () => {
      const { upstream, broker } = await setup("modern", undefined, { tools });
      const headers = { "mcp-param-region": "eu", "mcp-param-size": "9", "mcp-param-unknown": "x" };
      await broker.call({ modern: true, params: { arguments: { region: "eu" } }, headers });
      const arrived = upstream.of("tools/call")[0]!.headers;
      expect(arrived).toMatchObject({ "mcp-param-region": "eu", "mcp-param-unknown": "x" });
      expect(arrived).not.toHaveProperty("mcp-param-size");
    });
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
      expect(reply.status).toBe(200);
      expect([reasonOf(reply.messages[0]), reply.messages[0]?.["error"]]).toEqual([
        "capability_missing",
        expect.objectContaining({ code: -32_600 }),
      ]);
      const today = await broker.call({ modern: true });
      // One who does not declare tasks could not handle it either.
      if (value.resultType === "task") expect(today.messages[0]?.["error"]).toMatchObject({ code: -32_021 });
      else expect(today.messages[0]?.["result"]).toEqual(value);
    }
  });
  it("a server that misses a capability of hers is told in her revision's words", async () => {
    const { broker } = await setup("modern", (a, r) =>
      json(r, 400, { jsonrpc: "2.0", id: a.message?.id, error: { code: -32_021, message: "elicitation" } }),
    );
    const reply = await broker.call({ id: "x" });
    expect([reply.status, reply.messages[0]]).toEqual([
      200,
      expect.objectContaining({ id: "x", error: expect.objectContaining({ code: -32_600 }) as unknown }),
    ]);
    expect(reasonOf(reply.messages[0])).toBe("capability_missing");
    const modern = await broker.call({ modern: true });
    expect([modern.status, modern.message.error?.code]).toEqual([400, -32_021]);
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
