// B02 of the field: "Stop" in a client stops the call, at the server too.
import { describe, expect, it, vi } from "vitest";
import { ask } from "../../../test/fakes/broker-client.ts";
import type { TestBroker } from "../../../test/fakes/broker.ts";
import { event, type FakeEra } from "../../../test/fakes/mcp-server.ts";
import { NOTHING } from "../../../test/fakes/listing.ts";
import { progress, relayFixture } from "../../../test/fakes/relay.ts";

const { setup } = relayFixture();

const cancel = (broker: TestBroker, requestId: unknown, { who = "alice", path = "/servers/s/mcp" } = {}) =>
  ask(broker, JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId } }), {
    path,
    wristbands: [broker.wristband(who, NOTHING)],
  });

/** A server that never answers a call, and says when one is closed. */
async function silent(era: FakeEra, streams = false) {
  const closed: string[] = [];
  const parts = await setup(era, (arrival, response) => {
    if (streams) {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(event(progress(5)));
    }
    response.on("close", () => closed.push(String(arrival.message?.id)));
  });
  return { ...parts, closed };
}

describe.each(["modern", "legacy", "sessions"] as const)("a call at a %s server", (era) => {
  it.each([true, false])("ends with its client's notification; streamed: %s", async (streams) => {
    const { upstream, broker, closed } = await silent(era, streams);
    const reply = broker.call({ id: 7, params: { _meta: { progressToken: 5 } } });
    await vi.waitFor(() => expect(upstream.of("tools/call")).toHaveLength(1));
    const sent = await cancel(broker, 7);
    expect([sent.status, sent.text]).toEqual([202, ""]);
    const { status, messages } = await reply;
    expect(status).toBe(200);
    expect(messages.filter((message) => "result" in message || "error" in message)).toEqual([]);
    const [call] = upstream.of("tools/call");
    await vi.waitFor(() => expect(closed).toEqual([String(call?.message?.id)]));
    if (era !== "modern")
      await vi.waitFor(() =>
        expect(upstream.of("notifications/cancelled").map(({ params }) => params["requestId"])).toEqual([
          call?.message?.id,
        ]),
      );
    expect(broker.observed).toEqual([["s", "left"]]);
  });
});

it("a client that takes no streams gets an end without an answer, too", async () => {
  const { upstream, broker } = await silent("sessions");
  const reply = broker.call({ headers: { accept: "application/json" } });
  await vi.waitFor(() => expect(upstream.of("tools/call")).toHaveLength(1));
  await cancel(broker, 1);
  expect([(await reply).status, (await reply).text]).toEqual([202, ""]);
});

describe("nothing else ends it", () => {
  it.each<[string, unknown, Parameters<typeof cancel>[2]]>([
    ["another caller's notification", 7, { who: "bob" }],
    ["an unknown id", 8, {}],
    ["the id as text", "7", {}],
    ["the id at another endpoint", 7, { path: "/mcp" }],
    ["no id", undefined, {}],
    ["a list", [7], {}],
  ])("%s: 202 and nothing", async (_, id, how) => {
    const { upstream, broker, closed } = await silent("sessions");
    const reply = broker.open({ id: 7 });
    await vi.waitFor(() => expect(upstream.of("tools/call")).toHaveLength(1));
    expect((await cancel(broker, id, how)).status).toBe(202);
    await cancel(broker, id, how);
    expect([closed, upstream.of("notifications/cancelled")]).toEqual([[], []]);
    await cancel(broker, 7);
    (await reply).resume();
  });

  it("an id that two of her calls have, for nobody knows which she means", async () => {
    const { upstream, broker, closed } = await silent("sessions");
    broker.leave({ id: 7 }, 1000);
    broker.leave({ id: 7 }, 1000);
    await vi.waitFor(() => expect(upstream.of("tools/call")).toHaveLength(2));
    await cancel(broker, 7);
    await cancel(broker, 7);
    expect(closed).toEqual([]);
    await vi.waitFor(() => expect(closed).toHaveLength(2), 3000);
  });
});
