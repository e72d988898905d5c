import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, describe, expect, it, vi } from "vitest";
import { startTestBroker, type BrokerLimits, type TestBroker } from "../../../test/fakes/broker.ts";
import { reasonOf } from "../../../test/fakes/broker-client.ts";
import { event, json, result, startEraServer, type Arrival, type OnCall } from "../../../test/fakes/mcp-server.ts";

const MIB = 1024 * 1024;
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function setup(onCall: OnCall, limits: BrokerLimits = {}, timeoutMs = 10_000): Promise<TestBroker> {
  const upstream = await startEraServer("modern", onCall);
  const server = { url: upstream.url, timeoutMs };
  const broker = await startTestBroker({ s: server, other: server }, limits);
  await broker.call({ params: { arguments: { kind: "small" } } }); // its era is known from here on
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  return broker;
}

const isSmall = ({ body }: Arrival) => body.includes("small");
const small = { params: { arguments: { kind: "small" } } };
const note = (data: string) =>
  event({ jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data } });

/** Writes as fast as it is read. */
function pour(response: ServerResponse, parts: Iterator<string | Buffer>): void {
  const more = () => {
    for (let next = parts.next(); !response.destroyed; next = parts.next()) {
      if (next.done === true) response.end();
      else if (!response.write(next.value)) response.once("drain", more);
      else continue;
      return;
    }
  };
  more();
}

function streamOf(make: (arrival: Arrival) => Iterable<string>): OnCall {
  return (arrival, response) => {
    if (isSmall(arrival)) return json(response, 200, result(arrival));
    response.writeHead(200, { "content-type": "text/event-stream" });
    pour(response, make(arrival)[Symbol.iterator]());
  };
}

describe("F9: a stream of a server is thinned, its answer never", () => {
  const floods: [string, (arrival: Arrival) => string][] = [
    ["notifications", () => note("y".repeat(500))],
    ["notifications that hold the call's id", ({ message }) => note(`{"id":${message?.id}}`)],
    ["requests of its own", ({ message }) => event({ jsonrpc: "2.0", id: message?.id, method: "ping" })],
    ["answers to other calls", () => event({ jsonrpc: "2.0", id: 7, result: {} })],
    ["what is no JSON", () => "data: {{{{\n\n"],
    ["progress of other calls", () => event({ jsonrpc: "2.0", method: "notifications/progress", params: {} })],
  ];

  it.each(floods)("%s", async (_, flood) => {
    const events = 3000;
    const broker = await setup(
      streamOf(function* (arrival) {
        const one = flood(arrival);
        for (let i = 0; i < events; i += 1) yield one;
        yield event(result(arrival));
        for (let i = 0; i < events; i += 1) yield one;
      }),
      { notificationsPerSecond: 20 },
    );
    const started = performance.now();
    const reply = await broker.call();
    const allowed = 20 + Math.ceil(((performance.now() - started) / 1000) * 20);
    expect(reply.messages.at(-1)).toMatchObject({ id: 1, result: { content: [{ text: "ok" }] } });
    expect(reply.messages.length - 1 + broker.seen.dropped).toBeLessThanOrEqual(allowed);
    expect(reply.messages.length - 1 + broker.seen.dropped + broker.seen.thinned).toBe(events);
  });

  it("an answer whose id is written as a floating number passes a flood", async () => {
    const float = (id: unknown) => Number(id).toExponential().replace("e+", "E");
    const broker = await setup(
      streamOf(function* ({ message }) {
        for (let i = 0; i < 200; i += 1) yield note("y".repeat(500));
        yield `data: {"jsonrpc":"2.0","id":${float(message?.id)},"result":{}}\n\n`;
      }),
      { notificationsPerSecond: 5 },
    );
    const { messages } = await broker.call();
    expect([messages.at(-1), broker.seen.thinned > 0]).toEqual([{ jsonrpc: "2.0", id: 1, result: {} }, true]);
  });

  it.each([true, false])(
    "a long answer in an event passes, also when its server hangs up (%s) behind it",
    async (hangsUp) => {
      const broker = await setup((arrival, response) => {
        if (isSmall(arrival)) return json(response, 200, result(arrival));
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(note("first") + event(result(arrival, { text: "x".repeat(2 * MIB) })) + note("last"), () => {
          if (hangsUp) response.destroy();
        });
        return undefined;
      });
      const { messages } = await broker.call();
      expect(messages).toHaveLength(2);
      expect(messages[1]).toEqual({ jsonrpc: "2.0", id: 1, result: { text: "x".repeat(2 * MIB) } });
      await vi.waitFor(() => expect(broker.held()).toBe(0));
    },
  );

  it("what comes within the budget passes as it came, a large one too; then there is a pause", async () => {
    const large = "z".repeat(2 * MIB);
    const waiting: (() => void)[] = [];
    const broker = await setup(
      (arrival, response) => {
        if (isSmall(arrival)) return json(response, 200, result(arrival));
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(note("a") + note(large) + note("too many"));
        waiting.push(() => response.end(note("later") + event(result(arrival))));
        return undefined;
      },
      { notificationsPerSecond: 10 },
    );
    const reply = broker.call();
    await vi.waitFor(() => expect(broker.seen.thinned).toBe(1), 5000);
    broker.ahead += 60_000;
    waiting[0]?.();
    const texts = (await reply).messages.map(({ params }) => (params as { data?: string } | undefined)?.data);
    expect(texts).toEqual(["a", large, "later", undefined]);
  });

  it.each([":\n", "\n", ": y\r\n", "id: 1\n", "retry: 1\n\n", "data\n\n", "event: x\n"])(
    "%j without end is read in pauses, and the answer behind it passes",
    async (line) => {
      let bytes = 0;
      const chunk = line.repeat(Math.ceil((64 * 1024) / line.length));
      const started = performance.now();
      const broker = await setup(
        streamOf(function* (arrival) {
          for (; performance.now() - started < 1000; bytes += chunk.length) yield chunk;
          yield event(result(arrival));
        }),
      );
      const { messages } = await broker.call();
      expect(messages).toMatchObject([{ id: 1, result: {} }]);
      // At most two chunks of 64 KiB in each pause of 20 ms, and what the sockets between take.
      expect(bytes).toBeLessThan(((performance.now() - started) / 20) * 128 * 1024 + 10 * MIB);
    },
  );

  it("a stream without end costs other callers their turns, not their calls", async () => {
    const line = note("y".repeat(1000)).repeat(100);
    const broker = await setup(
      streamOf(function* () {
        for (;;) yield line;
      }),
    );
    const flooding = await Promise.all(Array.from({ length: 20 }, () => broker.open()));
    for (const response of flooding) response.on("error", () => {}).resume();
    for (let i = 0; i < 5; i += 1)
      expect((await broker.call({ ...small, server: "other", claims: { sub: "carol" } })).status).toBe(200);
    expect(broker.seen.thinned).toBeGreaterThan(0);
    for (const response of flooding) response.destroy();
    await vi.waitFor(() => expect(broker.held()).toBe(0), 5000);
  });
});

/** More than the sockets between take. */
const BIG = Buffer.alloc(7 * MIB, "x");

function bigAnswer({ message }: Arrival): Buffer {
  const [head, tail] = [`{"jsonrpc":"2.0","id":${message?.id},"result":{"text":"`, '"}}'];
  return Buffer.concat([Buffer.from(head), BIG, Buffer.from(tail)]);
}

const forms: [string, OnCall][] = [
  ["whole, with its length", (arrival, response) => json(response, 200, bigAnswer(arrival).toString("latin1"))],
  [
    "of unknown length",
    (arrival, response) => {
      response.writeHead(200, { "content-type": "application/json" }).write(" ");
      response.end(bigAnswer(arrival));
    },
  ],
  [
    "as an event",
    (arrival, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: ");
      response.write(bigAnswer(arrival));
      response.end("\n\n");
    },
  ],
];

/** Calls whose answers nobody reads. */
function neverRead(broker: TestBroker, callers: readonly string[]): IncomingMessage[] {
  const unread: IncomingMessage[] = [];
  for (const sub of callers)
    broker.open({ claims: { sub } }).then(
      (response) => unread.push(response.on("error", () => {}).pause()),
      () => {},
    );
  return unread;
}

describe.each(forms)("F10: answers that a caller does not read, %s", (_, answerBig) => {
  const onCall: OnCall = (arrival, response) =>
    isSmall(arrival) ? json(response, 200, result(arrival)) : answerBig(arrival, response);
  const limits = { heldBytesPerCaller: 20 * MIB, heldBytes: 60 * MIB };
  const refused = ({ observed }: TestBroker) => observed.filter(([, outcome]) => outcome === "rate_limited").length;

  it("are held up to her limit; the rest is refused in its time, and others have theirs", async () => {
    const broker = await setup(onCall, limits, 2000);
    const unread = neverRead(
      broker,
      Array.from({ length: 8 }, () => "alice"),
    );
    let most = 0;
    await vi.waitFor(
      () => {
        most = Math.max(most, broker.held());
        expect(broker.observed).toHaveLength(9);
      },
      { interval: 5, timeout: 10_000 },
    );
    const carol = await broker.call({ claims: { sub: "carol" } });
    expect([carol.status, carol.messages.length, reasonOf(carol.messages[0])]).toEqual([200, 1, undefined]);
    expect(refused(broker)).toBeGreaterThanOrEqual(4);
    expect(most).toBeGreaterThan(BIG.length);
    expect(most).toBeLessThanOrEqual(20 * MIB);
    for (const response of unread) response.destroy();
    await vi.waitFor(() => expect(broker.held()).toBe(0));
    expect((await broker.call()).status).toBe(200);
  });

  it("wait for room, and go on when it is there", async () => {
    const broker = await setup(onCall, limits);
    const replies = await Promise.all(Array.from({ length: 6 }, () => broker.call()));
    for (const { status, messages } of replies) {
      expect([status, messages.length]).toEqual([200, 1]);
      expect(messages[0]).toMatchObject({ id: 1, result: {} });
    }
    await vi.waitFor(() => expect(broker.held()).toBe(0));
  });

  it("of many callers leave room for one more", async () => {
    const broker = await setup(onCall, limits, 2000);
    const callers = ["a", "b", "c", "d", "e"];
    const unread = neverRead(broker, [...callers, ...callers]);
    await vi.waitFor(() => expect(broker.observed).toHaveLength(11), 10_000);
    expect(broker.held()).toBeLessThanOrEqual(60 * MIB);
    expect(refused(broker)).toBeGreaterThan(0);
    const carol = await broker.call({ claims: { sub: "carol" } });
    expect([carol.status, reasonOf(carol.messages[0])]).toEqual([200, undefined]);
    for (const response of unread) response.destroy();
  });
});

it("F10: an answer that can never have room is refused at once, and a small one of unknown length is not", async () => {
  const broker = await setup(
    (arrival, response) => {
      const isKnown = arrival.body.includes("known");
      const value = isSmall(arrival) ? {} : { text: "x".repeat(arrival.body.includes("big") ? 3 * MIB : MIB) };
      response.writeHead(200, { "content-type": "application/json" });
      if (!isKnown) response.write(" ");
      response.end(JSON.stringify(result(arrival, value)));
    },
    { heldBytesPerCaller: 2 * MIB },
  );
  const statusOf = async (kind: string) => (await broker.call({ params: { arguments: { kind } } })).status;
  expect([await statusOf("big known"), await statusOf("big"), await statusOf("known"), await statusOf("")]).toEqual([
    429, 429, 200, 200,
  ]);
});

it("F10: a server that hangs up while its answer waits for room ends the call, and nothing is held", async () => {
  const sockets: ServerResponse[] = [];
  const broker = await setup(
    (arrival, response) => {
      if (isSmall(arrival)) return json(response, 200, result(arrival));
      sockets.push(response);
      response.writeHead(200, { "content-type": "application/json", "content-length": String(3 * MIB) });
      response.write("{");
      return undefined;
    },
    { heldBytesPerCaller: 4 * MIB },
  );
  const calls = [broker.call(), broker.call(), broker.call()];
  await vi.waitFor(() => expect(sockets).toHaveLength(3));
  for (const response of sockets) response.socket?.destroy();
  for (const call of calls) expect((await call).status).toBe(502);
  await vi.waitFor(() => expect(broker.held()).toBe(0));
});

it("F10: bodies on their way count, too", async () => {
  const hanging: (() => void)[] = [];
  const broker = await setup(
    (arrival, response) => {
      if (isSmall(arrival)) return json(response, 200, result(arrival));
      hanging.push(() => json(response, 200, result(arrival)));
      return undefined;
    },
    { heldBytesPerCaller: MIB },
  );
  const large = { params: { arguments: { text: "x".repeat(220 * 1024) } } };
  const four = Array.from({ length: 4 }, () => broker.call(large));
  await vi.waitFor(() => expect(hanging).toHaveLength(4));
  const fifth = await broker.call(large);
  expect([fifth.status, reasonOf(fifth.messages[0])]).toEqual([429, "rate_limited"]);
  expect(
    (await broker.call({ ...large, claims: { sub: "carol" }, params: { ...large.params, kind: "small" } })).status,
  ).toBe(200);
  for (const answer of hanging) answer();
  for (const call of four) expect((await call).status).toBe(200);
  await vi.waitFor(() => expect(broker.held()).toBe(0));
});

it("F7: hanging calls of one caller at one server leave its connections to others, and other servers to her", async () => {
  let hanging = 0;
  const broker = await setup(
    (arrival, response) => {
      if (isSmall(arrival)) json(response, 200, result(arrival));
      else hanging += 1;
    },
    { maxCallsPerCaller: 50, maxCallsPerServer: 20 },
  );
  const responses = Array.from({ length: 30 }, () => broker.call());
  await vi.waitFor(() => expect(hanging).toBe(20));
  await vi.waitFor(() => expect(broker.observed.filter(([, outcome]) => outcome === "rate_limited")).toHaveLength(10));
  expect((await broker.call(small)).status).toBe(429);
  expect((await broker.call({ ...small, server: "other" })).status).toBe(200);
  expect((await broker.call({ ...small, claims: { sub: "carol" } })).status).toBe(200);
  for (const response of responses) response.catch(() => {});
});
