// A client with a session hears on her stream (GET) which lists have changed, at the real broker.
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { reading, type Reading } from "../../../test/fakes/reading.ts";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import { event, json, result, startEraServer } from "../../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { SessionClient } from "../../../test/fakes/session-client.ts";
import { createChangeNotices, type ChangeKind } from "../change-notices.ts";
import { createListChanges } from "./list-changes.ts";

const { closing } = relayFixture();
const ALL: readonly ChangeKind[] = ["tools", "prompts", "resources"];

async function setup() {
  const streams: ServerResponse[] = [];
  const upstream = await startEraServer("sessions", (arrival, response) => json(response, 200, result(arrival)));
  upstream.onAny = ({ http }, response) => {
    if (http !== "GET") return false;
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    streams.push(response);
    return true;
  };
  const offered = { tools: [{ name: "echo", inputSchema: { type: "object" } }] };
  const broker = await startTestBroker(
    { s: { url: upstream.url, offered }, t: { url: upstream.url }, u: { url: upstream.url } },
    { clientSessions: {} },
  );
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  const begin = async (server: string | null) => {
    const client = new SessionClient({ port: broker.port, server });
    await client.begin();
    const open = async () => {
      const response = await client.listen();
      return { response, stream: reading(response) };
    };
    return { client, open };
  };
  return { upstream, broker, begin, streams };
}
const told = ({ messages }: Reading) => messages.map(({ method }) => String(method).split("/")[1]);
/** Longer than a change may wait to be told with others. */
const quiet = () => new Promise((done) => setTimeout(done, 600));

it("of what concerns her endpoint and of what it declares; on one of her streams; not once the last has ended", async () => {
  const { broker, begin } = await setup();
  const [s, t, all] = [await begin("s"), await begin("t"), await begin(null)];
  const first = await s.open();
  const [second, other, merged] = [await s.open(), await t.open(), await all.open()];
  broker.notices.changed({ server: "s", kinds: ALL });
  await merged.stream.next(3);
  await quiet();
  expect([first, second, other, merged].map(({ stream }) => told(stream))).toEqual([[], ["tools"], [], [...ALL]]);
  expect(second.stream.messages).toEqual([{ jsonrpc: "2.0", method: "notifications/tools/list_changed" }]);
  broker.notices.changed({ server: null, kinds: ["tools"] });
  await Promise.all([second.stream.next(2), other.stream.next(1), merged.stream.next(4)]);
  second.response.destroy();
  await vi.waitFor(async () => {
    broker.notices.changed({ server: "s", kinds: ["tools"] });
    await first.stream.next(1);
  }, 5000);
  for (const { response } of [first, other]) response.destroy();
  await all.client.end();
  await vi.waitFor(() => expect(broker.notices.size).toBe(0));
});

it("what a server says on the stream of her own session is told once, to all whom it concerns", async () => {
  const { broker, begin, streams } = await setup();
  const [s, window, t] = [await begin("s"), await begin("s"), await begin("t")];
  const [hers, second, other] = [await s.open(), await window.open(), await t.open()];
  await s.client.call();
  await vi.waitFor(() => expect(streams).toHaveLength(1));
  const changed = event({ jsonrpc: "2.0", method: "notifications/tools/list_changed", params: { canary: 1 } });
  streams[0]?.write(changed.repeat(20));
  await Promise.all([hers.stream.next(1), second.stream.next(1)]);
  await quiet();
  expect([hers, second, other].map(({ stream }) => told(stream))).toEqual([["tools"], ["tools"], []]);
  expect(JSON.stringify(hers.stream.messages)).not.toContain("canary");
  const ended = once(hers.response, "close");
  await s.client.end();
  await ended;
  await vi.waitFor(() => expect(broker.notices.size).toBe(2));
});

it("a session without a stream is told nothing, and keeps nothing to be told", async () => {
  const { broker, begin } = await setup();
  const { open } = await begin("s");
  expect(broker.notices.size).toBe(0);
  broker.notices.changed({ server: "s", kinds: ALL });
  await quiet();
  const { stream } = await open();
  await quiet();
  expect(stream.messages).toEqual([]);
});

it("while she does not read, each kind waits once", () => {
  vi.useFakeTimers();
  const notices = createChangeNotices();
  const sent: string[] = [];
  let goOn = () => {};
  const changes = createListChanges({
    notices,
    audience: { offered: new Set(ALL), concerns: () => true, offers: () => true },
    send(message, id, source) {
      sent.push((JSON.parse(Buffer.from(message).toString()) as { method: string }).method);
      const release = source?.hold();
      goOn = () => release?.();
      return id === null;
    },
  });
  changes.begin();
  for (let i = 0; i < 50; i++) {
    notices.changed({ server: "s", kinds: ["tools", "prompts"] });
    vi.advanceTimersByTime(1000);
  }
  expect(sent).toEqual(["notifications/tools/list_changed"]);
  goOn();
  goOn();
  expect(sent.slice(1)).toEqual(["notifications/prompts/list_changed", "notifications/tools/list_changed"]);
  changes.end();
  goOn();
  expect([sent.length, notices.size]).toEqual([3, 0]);
});
beforeEach(() => vi.useRealTimers());
afterEach(() => vi.useRealTimers());
