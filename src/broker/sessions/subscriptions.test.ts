// A subscription of a client with a session lasts no longer than her right to it, at the real broker.
import type { ServerResponse } from "node:http";
import { expect, it, vi } from "vitest";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import { event, json, result, startEraServer } from "../../../test/fakes/mcp-server.ts";
import { reading } from "../../../test/fakes/reading.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { SessionClient } from "../../../test/fakes/session-client.ts";
import { READER } from "../../../test/fakes/wristband.ts";
import { createSubscriptions } from "./subscriptions.ts";

const { closing } = relayFixture();
const AT = { headers: { "x-mcp-server": "s", "x-upstream-authorization": "Bearer c" } };

/** A client on `/mcp` who has subscribed to `docs://a`, and what its server says of changes. */
async function subscribed(claims: object = {}) {
  const streams: ServerResponse[] = [];
  const upstream = await startEraServer("sessions", (arrival, response) => json(response, 200, result(arrival, {})));
  upstream.onAny = ({ http }, response) => {
    if (http !== "GET") return false;
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    streams.push(response);
    return true;
  };
  const broker = await startTestBroker({ s: { url: upstream.url } }, { clientSessions: {} });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  const client = new SessionClient({ port: broker.port, server: null });
  await client.begin();
  const stream = reading(await client.listen());
  const names = (uris: readonly string[], more: object = {}) => ({ resources: { s: uris }, ...more });
  const call = (method: string, uri: string, more: object = {}) =>
    client.ask({
      body: { id: 8, method, params: { uri: `s+${uri}` } },
      ...{ use: "call", names: names([uri], more), ...AT },
    });
  const list = (uris: readonly string[], more: object = {}) =>
    client.ask({ body: { id: 9, method: "resources/list" }, names: names(uris, more) });
  expect((await call("resources/subscribe", "docs://a", claims)).status).toBe(200);
  await vi.waitFor(() => expect(streams).toHaveLength(1));
  const changed = (uri = "docs://a") =>
    void streams.at(-1)?.write(event({ jsonrpc: "2.0", method: "notifications/resources/updated", params: { uri } }));
  return { broker, client, stream, call, list, changed };
}

const UPDATED = {
  jsonrpc: "2.0",
  method: "notifications/resources/updated",
  params: { uri: "s+docs://a" },
};
const RELISTED = { jsonrpc: "2.0", method: "notifications/resources/list_changed" };
/** Long enough for a message that is on its way. */
const quiet = () => new Promise((done) => setTimeout(done, 150));

it("is silent after a change of policy, until a list or a call under the new one names the resource", async () => {
  const { broker, stream, list, call, changed } = await subscribed();
  changed();
  await stream.next(1);
  broker.policies.set("policy-2");
  changed();
  await list(["docs://a"]); // a wristband that the old policy gave
  await list(["docs://other"], { policy: "policy-2" });
  await call("resources/read", "docs://other", { policy: "policy-2" });
  await list(["docs://a"], { policy: undefined });
  await quiet();
  expect(stream.messages).toEqual([UPDATED]);
  await list(["docs://a"], { policy: "policy-2" });
  expect(await stream.next(2)).toEqual([UPDATED, UPDATED]); // what she has missed
  changed();
  await stream.next(3);
  broker.policies.set("policy-3");
  changed();
  await quiet();
  await call("resources/read", "docs://a", { policy: "policy-3" });
  await stream.next(4);
});

it("is silent after the end of the token; a stream that begins then has her list, and the list proves it", async () => {
  const soon = Math.floor(Date.now() / 1000) + 60;
  const { broker, client, stream, list, changed } = await subscribed({ caller_exp: soon, exp: soon });
  broker.ahead = 100_000;
  changed();
  await quiet();
  expect(stream.messages).toEqual([]);
  const later = reading(await client.listen());
  expect(await later.next(1)).toEqual([RELISTED]);
  await list(["docs://a"]);
  expect(await later.next(2)).toEqual([RELISTED, UPDATED]);
});

it("ends with unsubscribing, and no list brings it back", async () => {
  const { stream, list, call, changed } = await subscribed();
  await call("resources/unsubscribe", "docs://a");
  changed();
  await list(["docs://a"]);
  await call("resources/read", "docs://a");
  changed();
  await quiet();
  expect(stream.messages).toEqual([]);
});

it("is silent while the configuration hides the resource, and without a proof", () => {
  const told: string[] = [];
  let offered = true;
  const subscriptions = createSubscriptions({
    policies: { has: (policy) => policy === READER.policy },
    offers: () => offered,
    onMissed: (_, uri) => told.push(uri),
    now: () => 1000,
  });
  const proof = { policy: READER.policy, caller_exp: 2 };
  subscriptions.add("s", "a", proof);
  for (const none of [
    { ...proof, policy: undefined },
    { ...proof, caller_exp: 1 },
  ])
    subscriptions.add("s", "b", none);
  expect([subscriptions.hears("s", "a"), subscriptions.hears("s", "b")]).toEqual([true, false]);
  offered = false;
  expect(subscriptions.hears("s", "a")).toBe(false);
  subscriptions.renew("s", "a", proof);
  expect(told).toEqual([]);
  offered = true;
  subscriptions.renew("s", "a", proof);
  expect(told).toEqual(["a"]);
});

it("the oldest of too many goes, and one that is asked for again is no new one", () => {
  const subscriptions = createSubscriptions({
    ...{ policies: { has: () => true }, offers: () => true, onMissed: () => {}, now: () => 0 },
  });
  const proof = { policy: "p", caller_exp: 1 };
  for (let i = 0; i < 1000; i += 1) subscriptions.add("s", `${i}`, proof);
  subscriptions.add("s", "999", proof);
  expect(subscriptions.hears("s", "0")).toBe(true);
  subscriptions.add("s", "1000", proof);
  expect([subscriptions.hears("s", "0"), subscriptions.hears("s", "1000")]).toEqual([false, true]);
});
