// A client of 2026-07-28 hears which resources of servers of older revisions have changed, at the real broker.
import type { ServerResponse } from "node:http";
import { expect, it, vi } from "vitest";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import { event, json, result, rpcError, startEraServer, type Arrival } from "../../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { startSseServer } from "../../../test/fakes/sse-server.ts";
import { acknowledged, ENDED, listenTo, update, watching, type Listening } from "../../../test/fakes/watching.ts";

const { closing } = relayFixture();
const quiet = () => new Promise((done) => setTimeout(done, 500));
const updated = (uri: string) => event({ jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri } });

/** A server with sessions; it takes subscriptions of all but `docs://refused`. */
async function startOlder() {
  const streams: ServerResponse[] = [];
  const upstream = await startEraServer("sessions", (arrival, response) => {
    if (arrival.params["uri"] === "docs://refused") rpcError(response, 200, -32_602);
    else json(response, 200, result(arrival, {}));
  });
  upstream.onAny = ({ http }, response) => {
    if (http !== "GET") return false;
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    streams.push(response);
    return true;
  };
  return { upstream, streams };
}

async function setup() {
  const old = await startOlder();
  const broker = await startTestBroker({ s: { url: old.upstream.url } }, { clientSessions: {} });
  closing.push(
    () => old.upstream.close(),
    () => broker.close(),
  );
  return { ...old, broker };
}

const A: Listening = { uris: ["s+docs://a"], resources: { s: ["docs://a"] } };
const methods = (requests: readonly Arrival[]) => requests.map(({ http, method }) => (method === "" ? http : method));

it("in a session of its own, with the caller's credential, which ends with her stream", async () => {
  const { upstream, streams, broker } = await setup();
  const uris = ["s+docs://a", "s+docs://refused", "s+docs://hidden"];
  const stream = await listenTo(broker, { uris, resources: { s: ["docs://a", "docs://refused"] } });
  expect(await stream.next(1)).toEqual([watching(["s+docs://a"])]);
  expect(upstream.requests.filter(({ headers }) => headers.authorization !== "Bearer s")).toEqual([]);
  const subscribed = upstream.of("resources/subscribe").map(({ params }) => params["uri"]);
  expect(subscribed).toEqual(["docs://a", "docs://refused"]);
  for (const uri of ["docs://a", "docs://a", "docs://refused", "docs://hidden"]) streams[0]?.write(updated(uri));
  streams[0]?.write(event({ jsonrpc: "2.0", method: "notifications/message", params: { data: "docs://hidden" } }));
  streams[0]?.write(event({ jsonrpc: "2.0", method: "notifications/tools/list_changed" }));
  expect((await stream.next(2))[1]).toEqual(update("s+docs://a"));
  await quiet();
  expect(stream.messages).toHaveLength(2);
  broker.endWatching();
  expect((await stream.next(3))[2]).toMatchObject(ENDED);
  await vi.waitFor(() => expect(upstream.sessions.size).toBe(0));
});

it("two of her streams are two sessions at the server", async () => {
  const { upstream, broker } = await setup();
  for (const stream of [await listenTo(broker, A), await listenTo(broker, A)]) await stream.next(1);
  expect(upstream.sessions.size).toBe(2);
});

it("a ping of the server is answered, and what it asks is refused", async () => {
  const { upstream, streams, broker } = await setup();
  await (await listenTo(broker, A)).next(1);
  for (const [i, method] of ["ping", "roots/list"].entries())
    streams[0]?.write(event({ jsonrpc: "2.0", id: `q${i}`, method }));
  const answers = () =>
    upstream.requests.flatMap(({ body }) => (body.includes('"id":"q') ? [JSON.parse(body) as object] : []));
  await vi.waitFor(() => expect(answers()).toHaveLength(2));
  expect(answers()).toEqual(
    expect.arrayContaining([
      { jsonrpc: "2.0", id: "q0", result: {} },
      { jsonrpc: "2.0", id: "q1", error: { code: -32_601, message: expect.any(String) as string } },
    ]),
  );
});

it("a stream that breaks off goes on in the same session, and what was not told is told", async () => {
  const { upstream, streams, broker } = await setup();
  const stream = await listenTo(broker, A);
  await stream.next(1);
  streams[0]?.destroy();
  expect((await stream.next(2))[1]).toEqual(update("s+docs://a"));
  expect([streams.length, upstream.sessions.size]).toEqual([2, 1]);
  streams[1]?.write(`id: 7\n${updated("docs://a")}`);
  await stream.next(3);
  streams[1]?.end();
  await vi.waitFor(() => expect(streams).toHaveLength(3), 5000);
  expect(upstream.of("GET").at(-1)?.headers["last-event-id"]).toBe("7");
  await quiet();
  expect(stream.messages).toHaveLength(3);
});

it("a server that has lost the session is subscribed to in another one", async () => {
  const { upstream, streams, broker } = await setup();
  const stream = await listenTo(broker, A);
  await stream.next(1);
  upstream.onAny = (arrival, response) => {
    if (arrival.http !== "GET") return false;
    if (!upstream.sessions.has(String(arrival.headers["mcp-session-id"]))) return (json(response, 404, {}), true);
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    return streams.push(response) > 0;
  };
  upstream.forgetSessions();
  streams[0]?.destroy();
  expect((await stream.next(2))[1]).toEqual(update("s+docs://a"));
  expect([upstream.of("resources/subscribe").length, upstream.sessions.size]).toEqual([2, 1]);
});

it("a server of HTTP+SSE tells on its stream", async () => {
  const server = await startSseServer();
  const broker = await startTestBroker({ s: { url: server.url } }, { clientSessions: {} });
  closing.push(
    () => server.close(),
    () => broker.close(),
  );
  const stream = await listenTo(broker, A);
  expect(await stream.next(1)).toEqual([watching(["s+docs://a"])]);
  const streams = [...server.streams.values()];
  for (const open of streams) open.write(updated("docs://a"));
  expect((await stream.next(2))[1]).toEqual(update("s+docs://a"));
  broker.endWatching();
  await vi.waitFor(() => expect(server.streams.size).toBe(0));
});

it.each<[string, (arrival: Arrival, response: ServerResponse) => boolean]>([
  ["has no such stream", ({ http }, response) => http === "GET" && (json(response, 405, {}), true)],
  ["takes no subscription", ({ method }, r) => method === "resources/subscribe" && (rpcError(r, 200, -32_601), true)],
  ["refuses the caller", ({ method }, r) => method === "initialize" && (json(r, 401, {}), true)],
])("of a server that %s nothing is watched, and the stream ends in order", async (_, answer) => {
  const { upstream, broker } = await setup();
  const { onAny } = upstream;
  upstream.onAny = (arrival, response) => answer(arrival, response) || onAny(arrival, response);
  const stream = await listenTo(broker, A);
  const [first, last] = await stream.next(2);
  expect(first).toEqual(acknowledged({}));
  expect(last).toMatchObject(ENDED);
  await vi.waitFor(() => expect(upstream.sessions.size).toBe(0));
  expect(methods(upstream.requests).filter((method) => method === "DELETE").length).toBeLessThan(2);
});
