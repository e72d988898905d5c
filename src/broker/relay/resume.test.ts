// A server ends the stream of a call before the answer: the client comes back for it, or the broker asks in her place.
import type { ServerResponse } from "node:http";
import { describe, expect, it, vi } from "vitest";
import { startTestBroker } from "../../../test/fakes/broker.ts";
import { CREDENTIAL, open, replyOf } from "../../../test/fakes/broker-client.ts";
import { event, result, startEraServer, type Arrival } from "../../../test/fakes/mcp-server.ts";
import { reading } from "../../../test/fakes/reading.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { SessionClient, type SessionClientOptions } from "../../../test/fakes/session-client.ts";

const { closing } = relayFixture();
const PRIMING = "id: first\nretry: 500\ndata: \n\n";

type Rest = (call: Arrival, response: ServerResponse, get: Arrival) => void;

/** The rest of a stream: its answer, after a notification with an id. */
const answers: Rest = (call, response) => {
  const note = event({ jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "late" } });
  response.end(`id: second\n${note}${event(result(call))}`);
};

/** A server that ends each call's stream at once, and says the rest to who comes back. */
async function setup({ rest = answers, first = PRIMING, timeoutMs = 3000, restStatus = 200 } = {}) {
  const gets: { readonly at: number; readonly arrival: Arrival }[] = [];
  const ends: number[] = [];
  let call: Arrival | null = null;
  const upstream = await startEraServer("sessions", (arrival, response) => {
    call = arrival;
    response.writeHead(200, { "content-type": "text/event-stream" }).end(first);
    ends.push(performance.now());
  });
  upstream.onAny = (arrival, response) => {
    if (arrival.http !== "GET") return false;
    const isRest = arrival.headers["last-event-id"] !== undefined;
    response.writeHead(isRest ? restStatus : 200, { "content-type": "text/event-stream" }).flushHeaders();
    if (!isRest) return true;
    gets.push({ at: performance.now(), arrival });
    if (call !== null) rest(call, response, arrival);
    return true;
  };
  const broker = await startTestBroker({ s: { url: upstream.url, timeoutMs } }, { clientSessions: {} });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  const begin = async (options: Partial<SessionClientOptions> = {}) => {
    const client = new SessionClient({ port: broker.port, ...options });
    await client.begin();
    return client;
  };
  return { upstream, broker, begin, gets, ends };
}

/** A call whose stream has ended; the id under which the client can come back. */
async function sentAway(client: SessionClient): Promise<string> {
  const reply = await client.call();
  expect(reply.status).toBe(200);
  expect(reply.text).toMatch(/^id: [\w.-]+\nretry: 500\ndata: \n\n$/);
  return /^id: (\S+)/.exec(reply.text)?.[1] ?? "";
}

describe("a client with a session", () => {
  it("is sent away where the server ends its stream, and gets the answer where she comes back", async () => {
    const { begin, gets, ends, upstream } = await setup();
    const client = await begin();
    const id = await sentAway(client);
    expect(gets).toEqual([]);
    const back = reading(await client.listen({ "last-event-id": id }));
    const [note, answer] = await back.next(2);
    expect(note).toMatchObject({ params: { data: "late" } });
    expect(answer).toMatchObject({ id: 1, result: { content: [{ text: "ok" }] } });
    expect(gets.map(({ arrival }) => arrival.headers["last-event-id"])).toEqual(["first"]);
    expect((gets[0]?.at ?? 0) - (ends[0] ?? 0)).toBeGreaterThanOrEqual(490);
    expect(gets[0]?.arrival.headers.authorization).toBe(CREDENTIAL);
    expect(gets[0]?.arrival.headers["mcp-session-id"]).toBe(upstream.of("tools/call")[0]?.headers["mcp-session-id"]);
    expect(back.ids).toHaveLength(1);
    expect(back.ids.join()).not.toContain("second");
  });

  it("may be sent away again, and comes back from where she was", async () => {
    let times = 0;
    const { begin, gets } = await setup({
      rest(call, response, get) {
        times += 1;
        if (times === 1) response.end("id: third\ndata: \n\n");
        else answers(call, response, get);
      },
    });
    const client = await begin();
    const once = reading(await client.listen({ "last-event-id": await sentAway(client) }));
    await vi.waitFor(() => expect(once.ids).toHaveLength(1), 3000);
    const twice = reading(await client.listen({ "last-event-id": once.ids[0] ?? "" }));
    await twice.next(2);
    expect(gets.map(({ arrival }) => arrival.headers["last-event-id"])).toEqual(["first", "third"]);
  });

  it("the id of one session says nothing in another", async () => {
    const { begin, gets } = await setup();
    const [client, other] = [await begin(), await begin()];
    const id = await sentAway(client);
    const stolen = reading(await other.listen({ "last-event-id": id }));
    const own = reading(await client.listen({ "last-event-id": id }));
    await own.next(2);
    expect(stolen.messages).toEqual([]);
    expect(gets).toHaveLength(1);
  });

  it("who comes back twice gets the answer once", async () => {
    const { begin, gets } = await setup();
    const client = await begin();
    const id = await sentAway(client);
    const first = reading(await client.listen({ "last-event-id": id }));
    const second = reading(await client.listen({ "last-event-id": id }));
    await first.next(2);
    expect(second.messages).toEqual([]);
    expect(gets).toHaveLength(1);
  });

  it("who does not come back in the server's time leaves a call that is cancelled", async () => {
    const { begin, gets, upstream } = await setup({ timeoutMs: 700 });
    await sentAway(await begin());
    await vi.waitFor(() => expect(upstream.of("notifications/cancelled")).toHaveLength(1), 3000);
    expect(gets).toEqual([]);
  });

  it("who cancels while she is away has it cancelled at the server", async () => {
    const { begin, upstream } = await setup({ timeoutMs: 60_000 });
    const client = await begin();
    await sentAway(client);
    await client.notify("notifications/cancelled", { requestId: 1 });
    await vi.waitFor(() => expect(upstream.of("notifications/cancelled")).toHaveLength(1), 3000);
  });

  it("hears that the server failed in the meantime", async () => {
    const { begin } = await setup({ restStatus: 500, rest: (_, response) => void response.end() });
    const client = await begin();
    const back = reading(await client.listen({ "last-event-id": await sentAway(client) }));
    const [answer] = await back.next(1);
    expect(answer).toMatchObject({ id: 1, error: { data: { reason: "upstream_unavailable" } } });
  });
});

describe("a client without a session", () => {
  it("waits while the broker asks for the rest, not before the server wants it", async () => {
    const { broker, gets, ends } = await setup();
    const reply = await replyOf(await open(broker.port, {}));
    expect(reply.status).toBe(200);
    expect(reply.text).toContain('"ok"');
    expect(reply.text).not.toMatch(/^id:/m);
    expect(gets.map(({ arrival }) => arrival.headers["last-event-id"])).toEqual(["first"]);
    expect((gets[0]?.at ?? 0) - (ends[0] ?? 0)).toBeGreaterThanOrEqual(490);
  });

  it("a server that ends every stream has no more than its time", async () => {
    const { broker } = await setup({
      timeoutMs: 1500,
      rest: (_, response) => void response.end("id: again\nretry: 0\ndata: \n\n"),
    });
    const reply = await replyOf(await open(broker.port, {}));
    expect(reply.text).toContain("upstream_timeout");
  });

  it("a stream without ids is not asked for again", async () => {
    const { broker, gets } = await setup({ first: ": nothing\n\n" });
    expect((await replyOf(await open(broker.port, {}))).text).toContain("upstream_unavailable");
    expect(gets).toEqual([]);
  });
});
