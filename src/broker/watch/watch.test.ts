// A client of 2026-07-28 hears which resources have changed, at the real broker: those that her wristband names, and while it lasts.
import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { expect, it, vi } from "vitest";
import { destinationOf } from "../../authz/destination.ts";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import { event, startEraServer, type Arrival } from "../../../test/fakes/mcp-server.ts";
import { reading } from "../../../test/fakes/reading.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import {
  askToWatch as ask,
  credentialsFor,
  ENDED as END,
  listenTo as listen,
  SUBSCRIPTION as TAG,
  update,
  watching,
  type Listening,
} from "../../../test/fakes/watching.ts";

const { closing } = relayFixture();
const METHOD = "subscriptions/listen";
/** A server's side of a stream. */
interface Heard {
  readonly arrival: Arrival;
  readonly response: ServerResponse;
}

/** A server that acknowledges what it is asked for. */
async function startWatched(acknowledge = (uris: unknown): unknown => uris) {
  const heard: Heard[] = [];
  const upstream = await startEraServer("modern");
  upstream.onAny = (arrival, response) => {
    if (arrival.method !== METHOD) return false;
    heard.push({ arrival, response });
    response.writeHead(200, { "content-type": "text/event-stream" });
    const { resourceSubscriptions } = arrival.params["notifications"] as Record<string, unknown>;
    say(heard.length - 1, "notifications/subscriptions/acknowledged", {
      notifications: { resourceSubscriptions: acknowledge(resourceSubscriptions) },
    });
    return true;
  };
  const say = (stream: number, method: string, params: object, tag?: unknown) => {
    const { arrival, response } = heard[stream]!;
    const tagged = { ...params, _meta: { [TAG]: tag ?? arrival.message?.id } };
    response.write(event({ jsonrpc: "2.0", method, params: tagged }));
  };
  const updated = (uri: string, tag?: unknown) =>
    say(heard.length - 1, "notifications/resources/updated", { uri }, tag);
  return { upstream, heard, say, updated };
}

async function setup() {
  const [s, t] = await Promise.all([startWatched(), startWatched()]);
  const old = await startEraServer("sessions");
  const broker = await startTestBroker(
    { s: { url: s.upstream.url }, t: { url: t.upstream.url }, old: { url: old.url }, none: {} },
    { clientSessions: {} },
  );
  closing.push(
    () => s.upstream.close(),
    () => t.upstream.close(),
    () => old.close(),
    () => broker.close(),
  );
  return { s, t, broker };
}

/** Longer than a change may wait to be told with others. */
const quiet = () => new Promise((done) => setTimeout(done, 500));

it("of several servers, each under its name at the endpoint, each once, with the caller's own credential", async () => {
  const { s, t, broker } = await setup();
  const uris = ["s+docs://a", "t+docs://b", "s+docs://hidden", "nobody+docs://x", "no uri"];
  const stream = await listen(broker, { uris, resources: { s: ["docs://a"], t: ["docs://b"] } });
  expect(await stream.next(1)).toEqual([watching(["s+docs://a", "t+docs://b"])]);
  const [{ arrival }] = [s.heard[0]!];
  expect(arrival.params["notifications"]).toEqual({ resourceSubscriptions: ["docs://a"] });
  expect(arrival.headers).toMatchObject({ authorization: "Bearer s", "mcp-method": METHOD });
  expect(arrival.headers).not.toHaveProperty("x-upstream-credentials");
  expect(t.heard[0]?.arrival.headers.authorization).toBe("Bearer t");
  for (let i = 0; i < 20; i += 1) s.updated("docs://a");
  t.updated("docs://b");
  const told = await stream.next(3);
  expect(told.slice(1)).toEqual(expect.arrayContaining([update("s+docs://a"), update("t+docs://b")]));
  const own = await listen(broker, { uris: ["docs://a"], path: "/servers/s/mcp" });
  await own.next(1);
  s.updated("docs://a");
  expect(await own.next(2)).toEqual([watching(["docs://a"]), update("docs://a")]);
});

it("of nothing else that a server says", async () => {
  const { s, broker } = await setup();
  const stream = await listen(broker);
  await stream.next(1);
  for (const uri of ["docs://hidden", "docs://a/part", "s+docs://a"]) s.updated(uri);
  s.updated("docs://a", 999); // of another stream
  s.say(0, "notifications/tools/list_changed", {});
  s.say(0, "notifications/tasks", { taskId: "1" });
  s.say(0, "notifications/message", { level: "error", data: "docs://hidden" });
  s.heard[0]?.response.write(event({ jsonrpc: "2.0", id: 1, method: "elicitation/create", params: {} }));
  await quiet();
  expect(stream.messages).toHaveLength(1);
  s.updated("docs://a");
  expect((await stream.next(2))[1]).toEqual(update("s+docs://a"));
});

it.each([
  ["the wristband does not name it", { resources: { s: ["docs://b"] } }],
  ["it is another server's", { resources: { t: ["docs://a"] } }],
  ["no credential came", { credentials: undefined }],
  ["another server's credential came", { credentials: credentialsFor("t") }],
  ["the credentials are not in their form", { credentials: "e30.e30" }],
  [
    "the credential is for a header that the chain does not fill",
    {
      credentials: Buffer.from('{"s":{"x-upstream-authorization":"k","x-upstream-header":"cookie"}}').toString(
        "base64url",
      ),
    },
  ],
  ["the policy of the wristband is not in force", { claims: { policy: "policy-0" } }],
  ["the wristband names no policy", { claims: { policy: undefined } }],
  ["its server of an older revision has no stream", { uris: ["old+docs://a"], resources: { old: ["docs://a"] } }],
  ["its server is away", { uris: ["none+docs://a"], resources: { none: ["docs://a"] } }],
])("where %s, nothing is watched and the stream ends in order", async (_, listening: Listening) => {
  const { s, t, broker } = await setup();
  const stream = await listen(broker, listening);
  const messages = await vi.waitFor(() => {
    expect(stream.messages.at(-1)).toMatchObject(END);
    return stream.messages;
  }, 12_000);
  expect(JSON.stringify(messages)).not.toContain("docs://");
  expect([...s.heard, ...t.heard]).toEqual([]);
});

it.each([
  ["of a list", { use: "list" }],
  ["of a call", { use: "call" }],
  ["of another body", { body: createHash("sha256").update("x").digest("base64url") }],
  ["of a session", { use: "session", resources: {} }],
])("a wristband %s begins no stream", async (_, claims: object) => {
  const { s, broker } = await setup();
  const response = await ask(broker, {
    claims: { ...((claims as { use?: string }).use === "list" ? { body: undefined } : {}), ...claims },
  });
  expect(response.statusCode).toBe(403);
  response.destroy();
  expect(s.heard).toEqual([]);
});

it("of a server that has moved for one of the two begins no stream: the client comes again", async () => {
  const { s, t, broker } = await setup();
  const both = { uris: ["s+docs://a", "t+docs://b"], resources: { s: ["docs://a"], t: ["docs://b"] } };
  const destinations = { s: destinationOf(s.upstream.url), t: destinationOf("https://new.example.com/mcp") };
  const response = await ask(broker, { ...both, claims: { destinations } });
  expect([response.statusCode, response.headers["retry-after"]]).toEqual([503, "1"]);
  response.destroy();
  expect([...s.heard, ...t.heard]).toEqual([]);
  const stream = await listen(broker, both);
  expect(await stream.next(1)).toEqual([watching(["s+docs://a", "t+docs://b"])]);
});

it("a wristband of a stream lists and calls nothing", async () => {
  const { broker } = await setup();
  const claims = { use: "listen", resources: { s: ["docs://a"] } };
  const [read, list] = await Promise.all([
    broker.call({ method: "resources/read", name: "docs://a", claims }),
    broker.call({ method: "resources/list", params: {}, claims }),
  ]);
  expect([read.status, list.status]).toEqual([403, 403]);
});

it("ends with the policy, with the wristband and with the configuration; the server's stream too", async () => {
  const { s, broker } = await setup();
  const exp = Math.floor(Date.now() / 1000) + 2;
  const streams = await Promise.all([listen(broker), listen(broker, { claims: { exp } })]);
  for (const stream of streams) await stream.next(1);
  await vi.waitFor(() => expect(streams[1]?.messages.at(-1)).toMatchObject(END), 5000);
  expect(streams[0]?.messages).toHaveLength(1);
  s.updated("docs://a");
  broker.policies.set("policy-2");
  expect((await streams[0]!.next(2))[1]).toMatchObject(END);
  await quiet();
  expect(JSON.stringify(streams[0]?.messages)).not.toContain("resources/updated");
  await vi.waitFor(() => expect(s.heard.every(({ response: { closed } }) => closed)).toBe(true));
  const later = await listen(broker, { claims: { policy: "policy-2" } });
  await later.next(1);
  broker.endWatching();
  expect((await later.next(2))[1]).toMatchObject(END);
});

it("when a server's stream breaks off it is opened again, and what may have changed meanwhile is told", async () => {
  const { s, broker } = await setup();
  const stream = await listen(broker);
  await stream.next(1);
  s.heard[0]?.response.destroy();
  expect((await stream.next(2))[1]).toEqual(update("s+docs://a"));
  expect(s.heard).toHaveLength(2);
  s.upstream.onAny = ({ method }, response) => {
    if (method === METHOD) response.writeHead(403).end();
    return method === METHOD;
  };
  s.heard[1]?.response.destroy();
  expect((await stream.next(3))[2]).toMatchObject(END);
});

it("ends at the server when the client leaves", async () => {
  const { s, broker } = await setup();
  const response = await ask(broker);
  await reading(response).next(1);
  response.destroy();
  await vi.waitFor(() => expect(s.heard.every(({ response: { closed } }) => closed)).toBe(true));
});
