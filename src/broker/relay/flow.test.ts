// Large answers flow: nothing is held, a slow reader slows their server, and none is taken for whole that is not.
import type { IncomingMessage, ServerResponse } from "node:http";
import { once } from "node:events";
import { describe, expect, it, vi } from "vitest";
import { reasonOf, replyOf } from "../../../test/fakes/broker-client.ts";
import { event, stream, type Arrival, type OnCall } from "../../../test/fakes/mcp-server.ts";
import { progress, relayFixture } from "../../../test/fakes/relay.ts";

const { setup } = relayFixture();
const MIB = 1024 * 1024;
const LARGE = { maxResponseBytes: 512 * MIB };

/** An answer around a text of so many bytes, with its id before or after the result. */
interface Large {
  readonly bytes: number;
  readonly id?: "first" | "last" | "foreign";
  readonly end?: string;
}

/** Writes no faster than it is read; resolves when all of it is written. */
async function pour(response: ServerResponse, arrival: Arrival, { bytes, id = "first", end = "}" }: Large) {
  const own = `"id":${String(id === "foreign" ? 1 : arrival.message?.id)},`;
  const write = async (chunk: string | Buffer) => {
    if (!response.destroyed && !response.write(chunk)) await once(response, "drain").catch(() => {});
  };
  await write(`{"jsonrpc":"2.0",${id === "first" ? own : ""}"result":{"content":[],"text":"`);
  const chunk = Buffer.alloc(64 * 1024, "x");
  for (let left = bytes; left > 0 && !response.destroyed; left -= chunk.length)
    await write(left < chunk.length ? chunk.subarray(0, left) : chunk);
  await write(id === "first" ? `"}${end}` : `"},${own.slice(0, -1)}${end}`);
}

const asJson =
  (large: Large): OnCall =>
  (arrival, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    void pour(response, arrival, large).then(() => response.end());
  };
const asEvent =
  (large: Large): OnCall =>
  (arrival, response) => {
    stream(response, [event(progress(5)), "data: "], { end: false });
    setTimeout(() => void pour(response, arrival, large).then(() => response.end("\n\n")), 20);
  };

/** Reads a response to its end, whatever comes, and keeps only what is around the long text. */
async function read(response: IncomingMessage) {
  let bytes = 0;
  let head = "";
  let tail = "";
  const isWhole = await new Promise<boolean>((done) => {
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (head.length < 300) head += chunk.toString("latin1").slice(0, 300);
      tail = (tail + chunk.toString("latin1", Math.max(0, chunk.length - 600))).slice(-600);
    });
    response
      .on("end", () => done(response.complete))
      .on("error", () => done(false))
      .on("close", () => done(false));
  });
  return { bytes, head, tail, isWhole };
}

const ways: readonly [string, (large: Large) => OnCall][] = [
  ["JSON", asJson],
  ["an event", asEvent],
];

describe.each(ways)("as %s", (_, as) => {
  it.each(["first", "last"] as const)("100 MiB with the id %s take little memory", async (id) => {
    const { broker } = await setup("modern", as({ bytes: 100 * MIB, id }), LARGE);
    let most = 0;
    const timer = setInterval(() => (most = Math.max(most, broker.held())), 10);
    const { bytes, head, tail, isWhole } = await read(await broker.open({ id: "mine" }));
    clearInterval(timer);
    expect([isWhole, bytes > 100 * MIB]).toEqual([true, true]);
    expect(head + tail).toContain('"id":"mine"');
    expect(tail.trimEnd()).toMatch(/\}$/);
    expect(broker.observed).toEqual([["s", "answered"]]);
    expect(most).toBeLessThan(4 * MIB);
    await vi.waitFor(() => expect(broker.held()).toBe(0));
  });
  it("flows while its server is still writing", async () => {
    let finish = () => {};
    const begun: OnCall = (arrival, response) => {
      const id = String(arrival.message?.id);
      response.writeHead(200, { "content-type": as === asJson ? "application/json" : "text/event-stream" });
      response.write(
        `${as === asJson ? "" : "data: "}{"jsonrpc":"2.0","id":${id},"result":{"t":"${"x".repeat(200_000)}`,
      );
      finish = () => response.end(`"}}${as === asJson ? "" : "\n\n"}`);
    };
    const { broker } = await setup("modern", begun, LARGE);
    const response = await broker.open();
    const text: string[] = [];
    response.on("data", (chunk: Buffer) => text.push(chunk.toString()));
    await vi.waitFor(() => expect(text.join("").length).toBeGreaterThan(100_000));
    finish();
    await vi.waitFor(() => expect(response.complete).toBe(true));
    expect(text.join("")).toMatch(/"\}\}\s*$/);
  });
  it("a client that does not read slows its server down", async () => {
    let written = 0;
    const { broker } = await setup(
      "modern",
      (arrival, response) => {
        const write = response.write.bind(response) as (...parts: unknown[]) => boolean;
        response.write = (...parts: unknown[]) => {
          written += (parts[0] as Buffer).length;
          return write(...parts);
        };
        as({ bytes: 100 * MIB })(arrival, response);
      },
      { ...LARGE, timeoutMs: 10_000 },
    );
    const response = await broker.open();
    response.pause();
    response.on("error", () => {});
    let before = -1;
    await vi.waitFor(
      () => {
        const now = written;
        const stands = now > 0 && now === before;
        before = now;
        expect(stands).toBe(true);
      },
      { interval: 200, timeout: 5000 },
    );
    expect(written).toBeLessThan(40 * MIB);
    expect(broker.held()).toBeLessThan(2 * MIB);
    response.destroy();
    await vi.waitFor(() => expect(broker.observed.at(-1)).toEqual(["s", "left"]));
  });
  it.each<[string, Large]>([
    ["ends early", { bytes: 3 * MIB, end: "" }],
    ["has text behind it", { bytes: 3 * MIB, end: "} x" }],
    ["has two results", { bytes: 3 * MIB, end: ',"result":{}}' }],
    ["is another's", { bytes: 3 * MIB, id: "foreign" }],
    ["is a string without end", { bytes: 3 * MIB, end: '}\\"' }],
  ])("one that %s is not taken for whole", async (__, large) => {
    const { broker } = await setup("modern", as(large), LARGE);
    const whole = [];
    for (const accept of ["application/json", "text/event-stream"]) {
      const response = await broker.open({ headers: { accept } });
      const { tail, isWhole } = await read(response);
      if (isWhole) whole.push(tail.split("\n").findLast((line) => line.startsWith("data: ")) ?? tail);
    }
    for (const last of whole) expect(last).toContain('"reason":"upstream_unavailable"');
    expect(new Set(broker.observed.map(([, outcome]) => outcome))).toEqual(new Set(["upstream_unavailable"]));
  });
  it("one above the limit ends with the limit, where there is a way to tell it", async () => {
    const { broker } = await setup("modern", as({ bytes: 20 * MIB }), { maxResponseBytes: 10 * MIB });
    const { tail, isWhole } = await read(await broker.open({ headers: { accept: "text/event-stream" } }));
    if (isWhole) expect(tail).toMatch(/event: incomplete\n\nevent: message\ndata: .*answer_too_large/);
    expect((await read(await broker.open({ headers: { accept: "application/json" } }))).isWhole).toBe(false);
    expect(broker.observed).toEqual([
      ["s", "answer_too_large"],
      ["s", "answer_too_large"],
    ]);
  });
});

it("a large notification is no answer, and passes", async () => {
  const big = { jsonrpc: "2.0", method: "notifications/message", params: { data: "x".repeat(2 * MIB) } };
  const { broker } = await setup(
    "modern",
    (arrival, response) => {
      stream(response, [event(big), "data: "], { end: false });
      const rest = () => void pour(response, arrival, { bytes: 2 * MIB }).then(() => response.end("\n\n"));
      setTimeout(rest, 100);
    },
    LARGE,
  );
  const reply = await replyOf(await broker.open());
  expect(reply.messages.map((message) => message["method"] ?? reasonOf(message) ?? message["id"])).toEqual([
    "notifications/message",
    1,
  ]);
});
