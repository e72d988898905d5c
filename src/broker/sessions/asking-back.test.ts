// Requests of servers to the one client whose call caused them, and her answers; the stream of a session (GET).
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { describe, expect, it, vi } from "vitest";
import { startTestBroker, type BrokerLimits } from "../../../test/fakes/broker.ts";
import { event, json, result, startEraServer, type Arrival, type OnCall } from "../../../test/fakes/mcp-server.ts";
import { reading } from "../../../test/fakes/reading.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { SessionClient, type SessionClientOptions } from "../../../test/fakes/session-client.ts";

const { closing } = relayFixture();
const CAPABLE = { elicitation: {}, sampling: {}, roots: { listChanged: true } };

/** A server that asks back on the call's stream, and answers the call with what it was answered. */
async function setup(limits: BrokerLimits = {}) {
  const waiting = new Map<string, (answer: Record<string, unknown>) => void>();
  const answers: Arrival[] = [];
  const streams: ServerResponse[] = [];
  const upstream = await startEraServer("sessions", askOnce(waiting, "elicitation/create"));
  upstream.onAny = (arrival, response) => {
    if (arrival.http === "GET") {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      streams.push(response);
      return true;
    }
    if (arrival.http !== "POST" || arrival.method !== "") return false;
    answers.push(arrival);
    response.writeHead(202).end();
    const answer = JSON.parse(arrival.body) as Record<string, unknown>;
    waiting.get(JSON.stringify(answer["id"]))?.(answer);
    return true;
  };
  const broker = await startTestBroker(
    { s: { url: upstream.url }, caller: { url: upstream.url, sessions: "caller" } },
    { clientSessions: {}, ...limits },
  );
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  const begin = async (options: Partial<SessionClientOptions> = {}) => {
    const client = new SessionClient({ port: broker.port, capabilities: CAPABLE, ...options });
    await client.begin();
    return client;
  };
  return { upstream, broker, begin, answers, waiting, streams };
}

const askOnce =
  (waiting: Map<string, (answer: Record<string, unknown>) => void>, method: string, id: string | number = 0): OnCall =>
  (arrival, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    waiting.set(JSON.stringify(id), (answer) =>
      response.end(event(result(arrival, { content: [], answered: answer["result"] ?? answer["error"] }))),
    );
    response.write(event({ jsonrpc: "2.0", id, method, params: { message: "Who?" } }));
  };

describe("CF-33: a request of a server", () => {
  it.each(["elicitation/create", "sampling/createMessage", "roots/list"])(
    "%s goes to the client whose call caused it, and her answer back",
    async (method) => {
      const { upstream, begin, answers, waiting } = await setup();
      upstream.onCall = askOnce(waiting, method);
      const [client, other] = [await begin(), await begin()];
      const stream = reading(await client.open());
      const [asked] = await stream.next(1);
      expect(asked).toMatchObject({ jsonrpc: "2.0", method, params: { message: "Who?" } });
      expect(asked?.["id"]).not.toBe(0);
      const sent = await client.answer(asked?.["id"], { action: "accept", content: { a: 1.0 } });
      expect([sent.status, sent.text]).toEqual([202, ""]);
      const messages = await stream.next(2);
      expect(messages[1]).toMatchObject({ id: 1, result: { answered: { action: "accept", content: { a: 1 } } } });
      const [call] = upstream.of("tools/call");
      expect(JSON.parse(answers[0]?.body ?? "")).toMatchObject({ jsonrpc: "2.0", id: 0 });
      for (const name of ["mcp-session-id", "authorization"])
        expect(answers[0]?.headers[name]).toBe(call?.headers[name]);
      expect(other.id).not.toBe(client.id);
    },
  );

  it("the capabilities of this client are declared to the server, as far as they can be carried", async () => {
    const { upstream, begin } = await setup();
    const capabilities = {
      elicitation: { form: {}, url: {}, magic: {} },
      sampling: { tools: {} },
      tasks: {},
      roots: [],
    };
    upstream.onCall = (arrival, response) => json(response, 200, result(arrival));
    await (await begin({ capabilities })).call();
    await (await begin({ capabilities: {} })).call();
    expect(upstream.of("initialize").map(({ params }) => params["capabilities"])).toEqual([
      { elicitation: { form: {}, url: {} }, sampling: { tools: {} } },
      {},
    ]);
  });

  it.each<[string, Partial<SessionClientOptions>, Record<string, string>]>([
    ["who did not say that she can answer", { capabilities: { sampling: {} } }, {}],
    ["who takes no stream", {}, { accept: "application/json" }],
  ])("D1: a client %s: the server is told at once", async (_, options, headers) => {
    const { begin, answers } = await setup();
    const client = await begin(options);
    const credential = { "x-upstream-authorization": "Bearer c" };
    const reply = await client.call("echo", {}, { headers: { ...headers, ...credential } });
    expect(reply.messages).toMatchObject([{ id: 1, result: { answered: { code: -32_601 } } }]);
    expect(answers).toHaveLength(1);
  });

  it("answer injection: no other session's answer, and no second one, reaches the server", async () => {
    const { begin, answers } = await setup();
    const [client, window, bob] = [await begin(), await begin(), await begin({ sub: "bob" })];
    const stream = reading(await client.open());
    const [asked] = await stream.next(1);
    for (const other of [window, bob])
      expect((await other.answer(asked?.["id"], { action: "accept" })).status).toBe(202);
    for (const id of [0, 1, "0", String(asked?.["id"]), -1]) expect((await client.answer(id)).status).toBe(202);
    expect(answers).toEqual([]);
    await client.answer(asked?.["id"], { action: "decline" });
    await client.answer(asked?.["id"], { action: "accept" });
    await stream.next(2);
    expect(answers.map(({ body }) => JSON.parse(body) as object)).toMatchObject([
      { id: 0, result: { action: "decline" } },
    ]);
  });

  it("an error of the client's is an answer, too; an answer is for the session's wristband alone", async () => {
    const { begin, answers } = await setup();
    const client = await begin();
    const stream = reading(await client.open());
    const [asked] = await stream.next(1);
    const body = { id: asked?.["id"], error: { code: -1, message: "no" } };
    for (const use of ["list", "call"] as const) expect((await client.ask({ body, use })).status).toBe(403);
    expect(answers).toEqual([]);
    await client.ask({ body, use: "session" });
    expect((await stream.next(2))[1]).toMatchObject({ result: { answered: { code: -1, message: "no" } } });
  });

  it("two windows with one id of two servers' requests: each gets hers", async () => {
    const { upstream, begin } = await setup();
    const waits = new Map<string, (answer: Record<string, unknown>) => void>();
    upstream.onCall = (arrival, response) =>
      askOnce(waits, "elicitation/create", String(arrival.headers["mcp-session-id"]))(arrival, response);
    const answered = vi.fn<(body: string) => void>();
    const onAny = upstream.onAny;
    upstream.onAny = (arrival, response) => {
      const taken = onAny(arrival, response);
      if (taken && arrival.http === "POST") {
        answered(arrival.body);
        const answer = JSON.parse(arrival.body) as Record<string, unknown>;
        waits.get(JSON.stringify(answer["id"]))?.(answer);
      }
      return taken;
    };
    const windows = [await begin(), await begin()];
    const streams = await Promise.all(windows.map(async (window) => reading(await window.open())));
    for (const [i, stream] of streams.entries()) {
      const [asked] = await stream.next(1);
      await windows[i]?.answer(asked?.["id"], { who: i });
    }
    for (const [i, stream] of streams.entries())
      expect((await stream.next(2))[1]).toMatchObject({ id: 1, result: { answered: { who: i } } });
  });

  it("while she thinks, the server's silence is no fault of its own; the call ends, and her answer is for nobody", async () => {
    const { upstream, broker, begin, answers } = await setup();
    const client = await begin();
    const response = await client.open();
    const stream = reading(response);
    const [asked] = await stream.next(1);
    await new Promise((done) => setTimeout(done, 2500)); // longer than the server's timeoutMs
    expect(broker.observed).toEqual([]);
    response.destroy();
    await vi.waitFor(() => expect(upstream.of("notifications/cancelled")).toHaveLength(1));
    expect((await client.answer(asked?.["id"])).status).toBe(202);
    expect(answers).toEqual([]);
  });

  it("progress of her answer reaches the server that asked", async () => {
    const { upstream, begin, waiting } = await setup();
    upstream.onCall = (arrival, response) => {
      askOnce(waiting, "sampling/createMessage")(arrival, response);
      const params = { _meta: { progressToken: "p" } };
      response.write(event({ jsonrpc: "2.0", id: 7, method: "sampling/createMessage", params }));
    };
    const client = await begin();
    await reading(await client.open()).next(2);
    for (const progressToken of ["p", "q", 7])
      await client.notify("notifications/progress", { progressToken, progress: 1 });
    await vi.waitFor(() => expect(upstream.of("notifications/progress")).toHaveLength(1));
    await client.notify("notifications/roots/list_changed");
    await vi.waitFor(() => expect(upstream.of("notifications/roots/list_changed")).toHaveLength(1));
    expect(upstream.of("notifications/progress")[0]?.params).toEqual({ progressToken: "p", progress: 1 });
  });

  it("that the server takes back is taken back, under the client's id", async () => {
    const { upstream, begin, waiting, answers } = await setup();
    let call: ServerResponse | undefined;
    upstream.onCall = (arrival, response) => {
      call = response;
      askOnce(waiting, "elicitation/create", 5)(arrival, response);
    };
    const client = await begin();
    const stream = reading(await client.open());
    const [asked] = await stream.next(1);
    for (const requestId of [6, asked?.["id"], 5])
      call?.write(event({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId } }));
    const messages = await stream.next(2);
    expect(messages[1]).toMatchObject({ method: "notifications/cancelled", params: { requestId: asked?.["id"] } });
    await client.answer(asked?.["id"]);
    expect(answers).toEqual([]);
  });
});

describe("the stream of a session", () => {
  const note = (method: string, params: object = {}) => event({ jsonrpc: "2.0", method, params });

  it("brings requests and notifications of the session's servers, each on one stream", async () => {
    const { upstream, begin, streams, answers } = await setup();
    upstream.onCall = (arrival, response) => json(response, 200, result(arrival));
    const client = await begin();
    const [first, second] = [await client.listen(), await client.listen()].map(reading);
    expect(streams).toEqual([]);
    await client.call();
    await vi.waitFor(() => expect(streams).toHaveLength(1));
    const [get] = upstream.of("GET");
    expect(get?.headers).toMatchObject({
      authorization: "Bearer upstream-credential-canary",
      "mcp-session-id": upstream.of("tools/call")[0]?.headers["mcp-session-id"],
    });
    streams[0]?.write(note("notifications/message", { level: "info", data: "x" }));
    streams[0]?.write(event({ jsonrpc: "2.0", id: 3, method: "roots/list" }));
    streams[0]?.write(event({ jsonrpc: "2.0", id: 4, method: "ping" }));
    streams[0]?.write(event({ jsonrpc: "2.0", id: 5, method: "unheard/of" }));
    const messages = await second?.next(2);
    expect(messages).toMatchObject([{ method: "notifications/message" }, { method: "roots/list" }]);
    await client.answer(messages?.[1]?.["id"], { roots: [] });
    await vi.waitFor(() => expect(answers).toHaveLength(3));
    expect(answers.map(({ body }) => JSON.parse(body) as object)).toEqual(
      expect.arrayContaining([
        { jsonrpc: "2.0", id: 3, result: { roots: [] } },
        { jsonrpc: "2.0", id: 4, result: {} },
        expect.objectContaining({ id: 5, error: expect.objectContaining({ code: -32_601 }) as unknown }),
      ]),
    );
    expect(first?.messages).toEqual([]);
  });

  it("brings changes of resources that she has subscribed to, and of no others", async () => {
    const { upstream, begin, streams } = await setup();
    upstream.onCall = (arrival, response) => json(response, 200, result(arrival, {}));
    const client = await begin();
    const stream = reading(await client.listen());
    const subscribe = (method: string, uri: string) =>
      client.ask({
        body: { id: 8, method, params: { uri } },
        use: "call",
        names: { resources: { s: [uri] } },
      });
    expect((await subscribe("resources/subscribe", "docs://a")).message).toMatchObject({ id: 8, result: {} });
    await subscribe("resources/subscribe", "docs://b");
    await subscribe("resources/unsubscribe", "docs://b");
    await vi.waitFor(() => expect(streams).toHaveLength(1));
    for (const uri of ["docs://b", "docs://hidden", "docs://a"])
      streams[0]?.write(note("notifications/resources/updated", { uri }));
    streams[0]?.write(note("notifications/unheard/of", { canary: 1 }));
    streams[0]?.write(note("notifications/tools/list_changed"));
    expect(await stream.next(2)).toMatchObject([
      { method: "notifications/resources/updated", params: { uri: "docs://a" } },
      { method: "notifications/tools/list_changed" },
    ]);
  });

  it("ends with the session; a server's own end of it is asked for again, from where it was", async () => {
    const { upstream, begin, streams } = await setup();
    upstream.onCall = (arrival, response) => json(response, 200, result(arrival));
    const client = await begin();
    const response = await client.listen();
    const stream = reading(response);
    await client.call();
    await vi.waitFor(() => expect(streams).toHaveLength(1));
    streams[0]?.end(`retry: 20\nid: e-1\n${note("notifications/message", { data: 1 })}`);
    await vi.waitFor(() => expect(streams).toHaveLength(2), 5000);
    expect(upstream.of("GET").map(({ headers }) => headers["last-event-id"])).toEqual([undefined, "e-1"]);
    await stream.next(1);
    expect(stream.ids).toHaveLength(1);
    expect(stream.ids[0]).not.toContain("e-1");
    const ended = once(response, "end");
    await client.end();
    await ended;
  });

  it("a client that comes back says where she was; an id of another session says nothing", async () => {
    const { upstream, begin, streams } = await setup();
    upstream.onCall = (arrival, response) => json(response, 200, result(arrival));
    const client = await begin();
    const first = await client.listen();
    const stream = reading(first);
    await client.call();
    await vi.waitFor(() => expect(streams).toHaveLength(1));
    for (const id of ["e-1", "e-2"]) streams[0]?.write(`id: ${id}\n${note("notifications/message", { data: id })}`);
    await stream.next(2);
    first.destroy();
    await vi.waitFor(() => expect(streams[0]?.destroyed).toBe(true));
    await client.listen({ "last-event-id": stream.ids[0] ?? "" });
    await vi.waitFor(() => expect(streams).toHaveLength(2));
    expect(upstream.of("GET").at(-1)?.headers["last-event-id"]).toBe("e-1");
    const other = await begin();
    await other.call();
    await other.listen({ "last-event-id": stream.ids[0] ?? "" });
    await vi.waitFor(() => expect(streams).toHaveLength(3));
    expect(upstream.of("GET").at(-1)?.headers).not.toHaveProperty("last-event-id");
  });

  it("is for the session's wristband and a client that takes streams", async () => {
    const { begin } = await setup();
    const client = await begin();
    const get = (use: "list" | "session", accept: string) => client.ask({ http: "GET", use, headers: { accept } });
    expect((await get("list", "text/event-stream")).status).toBe(403);
    expect((await get("session", "application/json")).status).toBe(405);
  });
});
