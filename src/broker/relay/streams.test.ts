// Relayed calls that are answered by a stream, and calls that take a caller's slots.
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { describe, expect, it, vi } from "vitest";
import { reasonOf, replyOf } from "../../../test/fakes/broker-client.ts";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import {
  event,
  json,
  result,
  startEraServer,
  stream,
  type Arrival,
  type OnCall,
} from "../../../test/fakes/mcp-server.ts";
import { CANARY, progress, relayFixture } from "../../../test/fakes/relay.ts";

const { setup, closing } = relayFixture();

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
      "cut_off",
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
    expect((await broker.call()).messages.at(-1)).toHaveProperty("error.data.reason");
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
