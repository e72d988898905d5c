// Two replicas of the broker: whichever gets a request, the one that owns the session serves it.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { freePort } from "../../../demo/ports.ts";
import { reasonOf } from "../../../test/fakes/broker-client.ts";
import { SEAL_KEY, startTestBroker, type TestBroker, type TestSessions } from "../../../test/fakes/broker.ts";
import { event, result, startEraServer, type EraServer } from "../../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { SessionClient, type SessionClientOptions } from "../../../test/fakes/session-client.ts";

const { closing } = relayFixture();
const NEW_KEY = { id: "k2", key: Buffer.alloc(32, 2) };

async function replica(upstream: EraServer, sessions: TestSessions = {}): Promise<TestBroker> {
  const port = await freePort();
  const broker = await startTestBroker(
    { s: { url: upstream.url } },
    { port, clientSessions: { address: `127.0.0.1:${port}`, ...sessions } },
  );
  closing.push(() => broker.close());
  return broker;
}

async function setup(first: TestSessions = {}, second: TestSessions = {}) {
  const upstream = await startEraServer("sessions");
  closing.push(() => upstream.close());
  const [one, two] = [await replica(upstream, first), await replica(upstream, second)];
  const begin = async (options: Partial<SessionClientOptions> = {}) => {
    const client = new SessionClient({ port: one.port, ...options });
    await client.begin();
    return client;
  };
  return { upstream, one, two, begin };
}

const at = (broker: TestBroker) => ({ port: broker.port });

describe("CF-32, MS-14, AP-04: a request at the other replica", () => {
  it("of any kind reaches the session: calls, lists, answers, the level, its end", async () => {
    const { upstream, one, two, begin } = await setup();
    const client = await begin();
    await client.call();
    const call = await client.call("echo", {}, at(two));
    expect([call.status, call.message.id]).toEqual([200, 2]);
    const list = await client.ask({ body: { id: "l", method: "tools/list" }, ...at(two) });
    expect(list.message).toMatchObject({ id: "l", result: { tools: [] } });
    const level = { id: 9, method: "logging/setLevel", params: { level: "error" } };
    expect((await client.ask({ body: level, use: "session", ...at(two) })).message).toMatchObject({
      id: 9,
      result: {},
    });
    expect(upstream.of("logging/setLevel")).toHaveLength(1);
    expect(new Set(upstream.of("tools/call").map(({ headers }) => headers["mcp-session-id"])).size).toBe(1);
    expect([one.clientSessions(), two.clientSessions()]).toEqual([1, 0]);
    expect((await client.ask({ http: "DELETE", use: "session", ...at(two) })).status).toBe(204);
    expect(one.clientSessions()).toBe(0);
    expect((await client.call("echo", {}, at(two))).status).toBe(404);
  });

  it("a stream of a call and its answer may go by different replicas", async () => {
    const { upstream, two, begin } = await setup();
    let end = () => {};
    upstream.onCall = (arrival, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(event({ jsonrpc: "2.0", id: 0, method: "roots/list" }));
      end = () => response.end(event(result(arrival)));
    };
    upstream.onAny = ({ http, method }, response) => {
      if (http !== "POST" || method !== "") return false;
      response.writeHead(202).end();
      end();
      return true;
    };
    const client = await begin({ capabilities: { roots: {} } });
    const response = await client.open("echo", {}, at(two));
    const [asked] = await messagesOf(response, 1);
    expect((await client.answer(asked?.["id"], { roots: [] })).status).toBe(202);
    const [, answer] = await messagesOf(response, 2);
    expect(answer).toMatchObject({ id: 1, result: {} });
  });

  it("GET streams through, and ends with the session", async () => {
    const { one, two, begin } = await setup();
    const client = await begin();
    const stream = await client.send({
      http: "GET",
      use: "session",
      headers: { accept: "text/event-stream" },
      ...at(two),
    });
    expect([stream.statusCode, stream.headers["content-type"]]).toEqual([200, "text/event-stream"]);
    stream.resume();
    one.ahead = 50_000;
    one.sweep();
    expect(one.clientSessions()).toBe(1);
    const ended = once(stream, "close");
    await client.end();
    await ended;
  });

  it("a client that leaves leaves at the owner, too", async () => {
    const { upstream, two, begin } = await setup();
    upstream.onCall = () => {};
    const client = await begin();
    const closed = client.open("echo", {}, at(two)).catch(() => null);
    await vi.waitFor(() => expect(upstream.of("tools/call")).toHaveLength(1));
    await client.ask({ body: { method: "notifications/cancelled", params: { requestId: 1 } }, ...at(two) });
    await vi.waitFor(() => expect(upstream.of("notifications/cancelled")).toHaveLength(1));
    await closed;
  });
});

describe("keys of sessions", () => {
  it("rotate: the old one opens until it is taken away", async () => {
    const { upstream, begin } = await setup();
    const port = await freePort();
    const client = await begin();
    const newer = await replica(upstream, { keys: [NEW_KEY, SEAL_KEY] });
    expect((await client.call("echo", {}, at(newer))).status).toBe(200);
    const without = await replica(upstream, { keys: [NEW_KEY], address: `127.0.0.1:${port}` });
    expect((await client.call("echo", {}, at(without))).status).toBe(404);
  });
});

describe("an owner that is not there", () => {
  it("is told to the client as the end of her session", async () => {
    const { one, two, begin } = await setup();
    const client = await begin();
    await one.close();
    for (const reply of [
      await client.call("echo", {}, at(two)),
      await client.ask({ http: "DELETE", use: "session", ...at(two) }),
    ])
      expect([reply.status, reasonOf(reply.message)]).toEqual([404, "session_unknown"]);
    expect(two.log.some((line) => line.includes("unreachable"))).toBe(true);
  });

  it("loops are impossible: who gets a forwarded request and does not own it, forwards nothing", async () => {
    const upstream = await startEraServer("sessions");
    closing.push(() => upstream.close());
    const [a, b] = [await freePort(), await freePort()];
    // Each believes that the other one is meant: as behind a name that leads to both.
    const broker = (port: number, address: string) =>
      startTestBroker({ s: { url: upstream.url } }, { port, clientSessions: { address } });
    const one = await broker(a, `127.0.0.1:${b}`);
    const two = await broker(b, "127.0.0.1:9");
    closing.push(
      () => one.close(),
      () => two.close(),
    );
    const client = new SessionClient({ port: two.port });
    const other = new SessionClient({ port: one.port });
    await other.begin();
    client.id = other.id;
    expect((await client.call()).status).toBe(404);
  });
});

describe("forwarding is no way around anything", () => {
  async function spy() {
    const arrivals: IncomingMessage[] = [];
    const server: Server = createServer((request, response) => {
      arrivals.push(request);
      response.writeHead(200, { "content-type": "application/json", connection: "x-secret" }).end("{}");
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    closing.push(async () => void server.close());
    return { arrivals, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
  }

  it("a header that came twice is refused, not joined; hops' own headers stay here", async () => {
    const { arrivals, address } = await spy();
    const upstream = await startEraServer("sessions");
    closing.push(() => upstream.close());
    const owner = await replica(upstream, { address });
    const client = new SessionClient({ port: owner.port });
    await client.begin();
    const other = await replica(upstream);
    for (const name of ["x-upstream-authorization", "x-mcp-server", "x-any", "last-event-id"]) {
      const reply = await client.call("echo", {}, { ...at(other), headers: { [name]: ["a", "b"] } });
      expect([name, reply.status]).toEqual([name, 400]);
    }
    expect(arrivals).toEqual([]);
    await client.call("echo", {}, { ...at(other), headers: { te: "trailers", "keep-alive": "1", "x-any": "v" } });
    const [arrival] = arrivals;
    expect(arrival?.headers).toMatchObject({
      host: address,
      "x-any": "v",
      "x-mcp-forwarded": "1",
      "x-mcp-server": "s",
    });
    expect(arrival?.headers).not.toHaveProperty("te");
  });

  it("the mark opens nothing: the owner wants what it wants of everybody", async () => {
    const { upstream, one, two, begin } = await setup();
    const client = await begin();
    const mark = { "x-mcp-forwarded": "1" };
    const thief = new SessionClient({ port: one.port, sub: "bob" });
    thief.id = client.id;
    expect((await thief.call("echo", {}, { headers: mark })).status).toBe(404);
    expect((await client.call("echo", {}, { headers: { ...mark, "x-authorized-tools": "x" } })).status).toBe(403);
    expect((await client.call("echo", {}, { headers: mark, ...at(two) })).status).toBe(404);
    expect(upstream.requests).toEqual([]);
    expect((await client.call("echo", {}, { headers: mark })).status).toBe(200);
  });
});

/** The messages of a stream so far, once there are so many. */
async function messagesOf(response: IncomingMessage, count: number): Promise<Record<string, unknown>[]> {
  const held = texts.get(response) ?? { text: "" };
  if (!texts.has(response)) {
    texts.set(response, held);
    response.setEncoding("utf8").on("data", (chunk: string) => (held.text += chunk));
  }
  const read = () =>
    held.text
      .split("\n")
      .filter((line) => line.startsWith("data: {"))
      .map((line) => JSON.parse(line.slice(6)) as Record<string, unknown>);
  await vi.waitFor(() => expect(read().length).toBeGreaterThanOrEqual(count));
  return read();
}
const texts = new WeakMap<IncomingMessage, { text: string }>();
