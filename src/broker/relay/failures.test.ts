// Relayed calls that fail: answers that are none, time, clients that leave.
import { gzipSync } from "node:zlib";
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
  type OnCall,
} from "../../../test/fakes/mcp-server.ts";
import { CANARY, progress, relayFixture } from "../../../test/fakes/relay.ts";

const { setup, closing } = relayFixture();

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
      "cut_off",
    ],
    ["hung up before it spoke", (_, r) => r.socket?.destroy(), "cut_off"],
    [
      "40 KB of headers",
      (a, r) => json(withHeaders(r, { "x-big": CANARY.padEnd(40_000, "x") }), 200, result(a)),
      "headers_too_large",
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
    const all = ["server/discover", "initialize", "notifications/initialized"];
    for (const methods of [all, ["initialize"], ["notifications/initialized"]]) {
      upstream.onAny = ({ method }) => methods.includes(method);
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

describe("an answer above the limit of its server is not to be asked for again", () => {
  const limit = 64 * 1024;
  const long = (a: Arrival) => result(a, { content: [], text: "x".repeat(limit) });
  const endless: OnCall = (_, r) => {
    r.writeHead(200, { "content-type": "application/json" });
    const more = () => r.destroyed || r.write(Buffer.alloc(64 * 1024, 0x20), () => setImmediate(more));
    more();
  };
  const line: OnCall = (_, r) => {
    r.writeHead(200, { "content-type": "text/event-stream" });
    const more = () => r.destroyed || r.write(Buffer.alloc(64 * 1024, 0x78), () => setImmediate(more));
    more();
  };
  it.each<[string, OnCall]>([
    ["in JSON", (a, r) => json(r, 200, long(a))],
    ["in JSON without an end", endless],
    ["as an event", (a, r) => stream(r, [event(progress(5)), event(long(a))])],
    ["as a line without an end", line],
  ])("%s", async (_, onCall) => {
    const { broker } = await setup("modern", onCall, { maxResponseBytes: limit });
    for (const modern of [true, false]) {
      const reply = await broker.call({ modern, id: "x" });
      expect(reply.status).toBe(200);
      expect(reply.messages.at(-1)).toEqual({
        jsonrpc: "2.0",
        id: "x",
        error: {
          code: -32_603,
          message: expect.stringMatching(/Do not repeat .*65536 bytes/) as string,
          data: { reason: "answer_too_large", requestId: expect.any(String) as string, limitBytes: limit },
        },
      });
      expect(broker.observed.at(-1)).toEqual(["s", "answer_too_large"]);
    }
  });
  it("one as long as the limit passes", async () => {
    const { broker } = await setup("modern", (a, r) => json(r, 200, JSON.stringify(result(a)).padEnd(limit)), {
      maxResponseBytes: limit,
    });
    expect((await broker.call()).message.result).toBeDefined();
  });
});
