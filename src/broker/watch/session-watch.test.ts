// A client of an older revision hears which resources of servers of 2026-07-28 have changed, at the real broker.
import type { ServerResponse } from "node:http";
import { expect, it, vi } from "vitest";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import { event, json, startEraServer, type Arrival } from "../../../test/fakes/mcp-server.ts";
import { reading } from "../../../test/fakes/reading.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { SessionClient } from "../../../test/fakes/session-client.ts";
import { SUBSCRIPTION } from "../../../test/fakes/watching.ts";

const { closing } = relayFixture();
const quiet = () => new Promise((done) => setTimeout(done, 300));

interface Stream {
  readonly uris: readonly string[];
  readonly arrival: Arrival;
  readonly response: ServerResponse;
}

/** A server that tells of all resources but `docs://untold`. */
async function startModern() {
  const streams: Stream[] = [];
  const upstream = await startEraServer("modern");
  const say = ({ arrival, response }: Stream, method: string, params: object) =>
    response.write(
      event({ jsonrpc: "2.0", method, params: { ...params, _meta: { [SUBSCRIPTION]: arrival.message?.id } } }),
    );
  upstream.onAny = (arrival, response) => {
    if (arrival.method !== "subscriptions/listen") return false;
    const asked = (arrival.params["notifications"] as { resourceSubscriptions: string[] }).resourceSubscriptions;
    const uris = asked.filter((uri) => uri !== "docs://untold");
    const stream = { uris, arrival, response };
    streams.push(stream);
    response.writeHead(200, { "content-type": "text/event-stream" });
    say(stream, "notifications/subscriptions/acknowledged", { notifications: { resourceSubscriptions: uris } });
    return true;
  };
  const open = () => streams.filter(({ response }) => !response.closed);
  const updated = (uri: string) => {
    for (const stream of open()) say(stream, "notifications/resources/updated", { uri });
  };
  return { upstream, streams, open, updated };
}

async function setup() {
  const server = await startModern();
  const broker = await startTestBroker({ s: { url: server.upstream.url } }, { clientSessions: {} });
  closing.push(
    () => server.upstream.close(),
    () => broker.close(),
  );
  const client = new SessionClient({ port: broker.port, server: null });
  await client.begin();
  const stream = reading(await client.listen());
  const ask = (method: string, uri: string, credential = "c") =>
    client.ask({
      body: { id: "q", method, params: { uri: `s+${uri}` } },
      ...{ use: "call", names: { resources: { s: [uri] } } },
      headers: { "x-mcp-server": "s", "x-upstream-authorization": `Bearer ${credential}` },
    });
  return { ...server, broker, client, stream, ask };
}

const told = (uri: string) => ({ jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri } });

it("on the stream of her session, under its name at her endpoint; each as long as she subscribes", async () => {
  const { streams, open, updated, stream, ask } = await setup();
  for (const uri of ["docs://a", "docs://b", "docs://a"]) {
    const { status, message } = await ask("resources/subscribe", uri);
    expect([status, message]).toEqual([200, { jsonrpc: "2.0", id: "q", result: {} }]);
  }
  expect(streams.map(({ uris }) => uris)).toEqual([["docs://a"], ["docs://a", "docs://b"]]);
  expect(streams[1]?.arrival.headers).toMatchObject({
    authorization: "Bearer c",
    "mcp-method": "subscriptions/listen",
  });
  await vi.waitFor(() => expect(open()).toHaveLength(1));
  for (const uri of ["docs://b", "docs://hidden"]) updated(uri);
  expect(await stream.next(1)).toEqual([told("s+docs://b")]);
  expect((await ask("resources/unsubscribe", "docs://b")).message).toMatchObject({ result: {} });
  updated("docs://b");
  updated("docs://a");
  expect(await stream.next(2)).toEqual([told("s+docs://b"), told("s+docs://a")]);
  await ask("resources/unsubscribe", "docs://a");
  await vi.waitFor(() => expect(open()).toEqual([]));
});

it("each a few times a second, however often the server says so", async () => {
  const { updated, stream, ask } = await setup();
  await ask("resources/subscribe", "docs://a");
  for (let i = 0; i < 100; i += 1) updated("docs://a");
  await stream.next(1);
  await quiet();
  expect(stream.messages).toHaveLength(1);
});

it("nothing once the policy is another one, and the server's stream ends with her session", async () => {
  const { open, updated, stream, ask, broker, client } = await setup();
  await ask("resources/subscribe", "docs://a");
  broker.policies.set("policy-2");
  updated("docs://a");
  await quiet();
  expect(stream.messages).toEqual([]);
  await client.end();
  await vi.waitFor(() => expect(open()).toEqual([]));
});

it("a stream that breaks off is opened again, with the credential of now, and what was not told is told", async () => {
  const { streams, stream, ask } = await setup();
  await ask("resources/subscribe", "docs://a");
  await ask("resources/read", "docs://a", "renewed");
  streams[0]?.response.destroy();
  await stream.next(1);
  expect(streams.map(({ arrival }) => arrival.headers.authorization)).toEqual(["Bearer c", "Bearer renewed"]);
});

it("what a server does not tell of is no method of its, and costs the others nothing", async () => {
  const { open, updated, stream, ask } = await setup();
  await ask("resources/subscribe", "docs://a");
  const { status, message } = await ask("resources/subscribe", "docs://untold");
  expect([status, message]).toMatchObject([200, { error: { code: -32_601 } }]);
  await vi.waitFor(() => expect(open().map(({ uris }) => uris)).toEqual([["docs://a"]]));
  for (const uri of ["docs://untold", "docs://a"]) updated(uri);
  await stream.next(1);
  await quiet();
  expect(stream.messages).toEqual([told("s+docs://a")]);
});

it("a server that has no such stream, and one that refuses her, take no subscription", async () => {
  const { upstream, ask } = await setup();
  upstream.onAny = ({ method }, response) => method === "subscriptions/listen" && (json(response, 404, {}), true);
  expect((await ask("resources/subscribe", "docs://a")).message).toMatchObject({ error: { code: -32_601 } });
  upstream.onAny = ({ method }, response) => method === "subscriptions/listen" && (json(response, 401, {}), true);
  expect((await ask("resources/subscribe", "docs://a")).status).toBe(502);
});
