// What a hostile server, or a hostile client, can do to a session: names that nobody may see, floods, answers of others.
import type { ServerResponse } from "node:http";
import { describe, expect, it, vi } from "vitest";
import { startTestBroker, type BrokerLimits } from "../../../test/fakes/broker.ts";
import { event, result, startEraServer, type FakeEra } from "../../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { SessionClient } from "../../../test/fakes/session-client.ts";

const { closing } = relayFixture();
const CAPABLE = { elicitation: {}, sampling: {}, roots: { listChanged: true } };

async function setup(limits: BrokerLimits = {}, era: FakeEra = "sessions") {
  const [s, t] = await Promise.all([startEraServer(era), startEraServer(era)]);
  const broker = await startTestBroker({ s: { url: s.url }, t: { url: t.url } }, { clientSessions: {}, ...limits });
  closing.push(
    () => s.close(),
    () => t.close(),
    () => broker.close(),
  );
  const client = new SessionClient({ port: broker.port, capabilities: CAPABLE, server: null });
  await client.begin();
  return { s, t, broker, client };
}

const at = (server: string) => ({ headers: { "x-mcp-server": server } });
const note = (method: string, params: object = {}) => event({ jsonrpc: "2.0", method, params });

describe("a server on the stream of a call", () => {
  it("tells of no resource that she has not subscribed to, and of a list only that it changed", async () => {
    const { s, client } = await setup();
    s.onCall = (arrival, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(note("notifications/resources/updated", { uri: "docs://hidden" }));
      response.write(note("notifications/tools/list_changed", { added: ["hidden"], _meta: { names: ["hidden"] } }));
      response.end(event(result(arrival, { content: [] })));
    };
    const reply = await client.call("s_echo", {}, { ...at("s"), names: { tools: { s: ["echo"] } } });
    expect(reply.messages).toMatchObject([{ method: "notifications/tools/list_changed" }, { result: {} }]);
    expect(reply.text).not.toContain("hidden");
  });

  it("tells of one that she has subscribed to, under its merged name", async () => {
    const { s, client } = await setup();
    s.onCall = (arrival, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const uri of ["docs://a", "docs://hidden"]) response.write(note("notifications/resources/updated", { uri }));
      response.end(event(result(arrival, {})));
    };
    const body = { id: 8, method: "resources/subscribe", params: { uri: "s+docs://a" } };
    const reply = await client.ask({
      ...{ body, use: "call", names: { resources: { s: ["docs://a"] } } },
      headers: { "x-mcp-server": "s", "x-upstream-authorization": "Bearer c" },
    });
    expect(reply.messages).toMatchObject([{ params: { uri: "s+docs://a" } }, { id: 8 }]);
  });
});

describe("two servers without session ids", () => {
  it("one does not take back what the other asks", async () => {
    const { s, t, client } = await setup({}, "legacy");
    const ask = { jsonrpc: "2.0", id: 7, method: "elicitation/create", params: { message: "Who?" } };
    let first: ServerResponse | undefined;
    s.onCall = (_, response) => {
      first = response;
      response.writeHead(200, { "content-type": "text/event-stream" }).write(event(ask));
    };
    t.onCall = (arrival, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(note("notifications/cancelled", { requestId: 7 }));
      response.end(event(result(arrival, { content: [] })));
    };
    const open = await client.open("s_echo", {}, { ...at("s"), names: { tools: { s: ["echo"] } } });
    await new Promise((done) => open.once("data", done));
    const reply = await client.call("t_echo", {}, { ...at("t"), names: { tools: { t: ["echo"] } } });
    expect(reply.messages).toHaveLength(1);
    first?.destroy();
  });
});

describe("a client who floods", () => {
  it("takes few connections of a server for what has no answer", async () => {
    const { s, client } = await setup();
    await client.call("s_echo", {}, { ...at("s"), names: { tools: { s: ["echo"] } } });
    let arrived = 0;
    s.onAny = ({ method }) => {
      if (method === "notifications/roots/list_changed") arrived += 1;
      return method === "notifications/roots/list_changed"; // and is never answered
    };
    const replies = await Promise.all(
      Array.from({ length: 150 }, () => client.notify("notifications/roots/list_changed")),
    );
    await new Promise((done) => setTimeout(done, 200));
    expect(arrived).toBeGreaterThan(0);
    expect(arrived).toBeLessThanOrEqual(64);
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([202, 429]));
  });

  it("takes few connections of the broker for streams, however many sessions she has", async () => {
    const { broker } = await setup();
    const statuses: (number | undefined)[] = [];
    const open = [];
    for (let i = 0; i < 66; i += 1) {
      const client = new SessionClient({ port: broker.port, server: null });
      await client.begin();
      for (let j = 0; j < 4; j += 1) open.push(await client.listen());
    }
    for (const response of open) statuses.push(response.statusCode);
    expect(statuses.filter((status) => status === 200)).toHaveLength(256);
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
    for (const response of open) response.destroy();
    const bob = new SessionClient({ port: broker.port, server: null, sub: "bob" });
    await bob.begin();
    const his = await bob.listen();
    expect(his.statusCode).toBe(200);
    his.destroy();
  });
});

it("a server that has left the configuration speaks to no client any more; other sessions go on", async () => {
  const { s, broker, client } = await setup();
  s.onAny = ({ http }, response) => {
    if (http === "GET") response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    return http === "GET";
  };
  const other = new SessionClient({ port: broker.port, server: null });
  await other.begin();
  await client.call("s_echo", {}, { ...at("s"), names: { tools: { s: ["echo"] } } });
  await other.call("t_echo", {}, { ...at("t"), names: { tools: { t: ["echo"] } } });
  const stream = await client.listen();
  await vi.waitFor(() => expect(s.of("GET")).toHaveLength(1));
  broker.endSessionsAt("s");
  for await (const chunk of stream) expect(chunk).toBeUndefined();
  const statuses = [client, other].map(async (one) => (await one.notify("notifications/progress")).status);
  expect(await Promise.all(statuses)).toEqual([404, 202]);
});
