// A server of the stateless revision that asks (`input_required`), and a client of an older revision with a session.
import { describe, expect, it, vi } from "vitest";
import { startTestBroker, type TestServer } from "../../../test/fakes/broker.ts";
import {
  event,
  json,
  result,
  startEraServer,
  stream,
  type Arrival,
  type OnCall,
} from "../../../test/fakes/mcp-server.ts";
import { reading } from "../../../test/fakes/reading.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { SessionClient, type SessionClientOptions } from "../../../test/fakes/session-client.ts";

const { closing } = relayFixture();
const CAPABLE = { elicitation: {}, sampling: {}, roots: { listChanged: true } };
const STATE = "state-canary";
const form = (message = "Who?") => ({
  method: "elicitation/create",
  params: { message, requestedSchema: { type: "object", properties: {} } },
});
const asks = (inputRequests: object, requestState: unknown = STATE) => ({
  resultType: "input_required",
  ...{ inputRequests, requestState },
});

/** A server that asks this once, and then answers with what it got. */
function asksOnce(inputRequests: object): OnCall {
  return (arrival, response) => {
    const { inputResponses, requestState } = arrival.params;
    const got = { resultType: "complete", content: [], got: inputResponses };
    json(response, 200, result(arrival, requestState === undefined ? asks(inputRequests) : got));
  };
}

async function setup(onCall: OnCall, options: Partial<SessionClientOptions> = {}, server: Partial<TestServer> = {}) {
  const upstream = await startEraServer("modern", onCall);
  const broker = await startTestBroker({ s: { url: upstream.url, ...server } }, { clientSessions: {} });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  const client = new SessionClient({ port: broker.port, capabilities: CAPABLE, ...options });
  await client.begin();
  return { upstream, broker, client, calls: () => upstream.of("tools/call") };
}

const META_OF = (arrival: Arrival | undefined) => arrival?.params["_meta"] as Record<string, unknown>;
const DECLARED = "io.modelcontextprotocol/clientCapabilities";

describe("a server of the stateless revision that asks", () => {
  it.each([
    ["elicitation/create", form().params, { action: "accept", content: { name: "Ann", n: 1 } }],
    ["sampling/createMessage", { messages: [], maxTokens: 5 }, { role: "assistant", content: {}, model: "m" }],
    ["roots/list", undefined, { roots: [{ uri: "file:///x" }] }],
  ])(
    "%s goes to the client of the call, and her answer with the state to the server",
    async (method, params, answer) => {
      const { client, calls } = await setup(asksOnce({ 'a "key"': { method, params } }));
      const response = await client.open("echo", { arguments: { n: 1 }, inputResponses: null });
      const read = reading(response);
      const [asked] = await read.next(1);
      expect(asked).toEqual({ jsonrpc: "2.0", id: asked?.["id"], method, ...(params !== undefined && { params }) });
      expect((await client.answer(asked?.["id"], answer)).status).toBe(202);
      const messages = await read.next(2);
      expect(messages[1]).toMatchObject({ id: 1, result: { got: { 'a "key"': answer } } });
      expect(JSON.stringify(messages)).not.toContain(STATE);
      const [first, second] = calls();
      expect(second?.message?.id).not.toBe(first?.message?.id);
      expect(second?.params).toEqual({
        ...{ name: "echo", arguments: { n: 1 }, requestState: STATE, inputResponses: { 'a "key"': answer } },
        _meta: META_OF(first),
      });
      expect(META_OF(first)[DECLARED]).toEqual({ elicitation: {}, sampling: {}, roots: {} });
    },
  );

  it("in an event, in several rounds, with several questions at once", async () => {
    const rounds = [asks({ a: form(), b: { method: "roots/list" } }, "1"), asks({}, "2"), asks({ c: form() }, "3")];
    const { client, calls } = await setup((arrival, response) => {
      const next = rounds[Number(arrival.params["requestState"] ?? "0")];
      stream(response, [event(result(arrival, next ?? { content: [], got: arrival.params["inputResponses"] }))]);
    });
    const read = reading(await client.open());
    const first = await read.next(2);
    await client.answer(first[1]?.["id"], { roots: [] });
    await client.answer(first[0]?.["id"], { action: "decline" });
    const [, , third] = await read.next(3);
    await client.answer(third?.["id"], { action: "cancel" });
    expect((await read.next(4))[3]).toMatchObject({ id: 1, result: { got: { c: { action: "cancel" } } } });
    expect(calls().map(({ params }) => [params["requestState"], params["inputResponses"]])).toEqual([
      [undefined, undefined],
      ["1", { a: { action: "decline" }, b: { roots: [] } }],
      ["2", undefined],
      ["3", { c: { action: "cancel" } }],
    ]);
  });

  it("an answer counts as held while others are awaited", async () => {
    const { client, broker } = await setup(asksOnce({ a: form(), b: form() }));
    const read = reading(await client.open());
    const [first, second] = await read.next(2);
    await client.answer(first?.["id"], { action: "accept", content: { text: "x".repeat(100_000) } });
    await vi.waitFor(() => expect(broker.held()).toBeGreaterThan(100_000));
    await new Promise((done) => setTimeout(done, 50)); // the request that brought it has ended
    expect(broker.held()).toBeGreaterThan(100_000);
    await client.answer(second?.["id"], { action: "decline" });
    await read.next(3);
  });

  it("a page to open gets the id that older revisions have", async () => {
    const params = { mode: "url", message: "Sign", url: "https://example.com/" };
    const once = asksOnce({ a: { method: "elicitation/create", params } });
    const { client } = await setup(once, { capabilities: { elicitation: { url: {} } } });
    const read = reading(await client.open());
    const [asked] = await read.next(1);
    expect(asked?.["params"]).toEqual({ ...params, elicitationId: expect.any(String) as unknown });
    await client.answer(asked?.["id"], { action: "accept" });
    await read.next(2);
  });

  it("while she thinks nobody's time runs out; her cancellation ends it, and her answer is for nobody", async () => {
    const { client, broker, calls } = await setup(asksOnce({ a: form() }));
    const read = reading(await client.open());
    const [asked] = await read.next(1);
    await new Promise((done) => setTimeout(done, 2500)); // longer than the server's timeoutMs
    expect(broker.observed).toEqual([]);
    await client.notify("notifications/cancelled", { requestId: 1 });
    await vi.waitFor(() => expect(broker.observed).toEqual([["s", "left"]]));
    expect((await client.answer(asked?.["id"], { action: "accept" })).status).toBe(202);
    expect(calls()).toHaveLength(1);
  });

  it("another session's answer is none; the end of hers ends the call", async () => {
    const { client, broker, calls } = await setup(asksOnce({ a: form() }));
    const other = new SessionClient({ port: broker.port, capabilities: CAPABLE });
    await other.begin();
    const read = reading(await client.open());
    const [asked] = await read.next(1);
    await other.answer(asked?.["id"], { action: "accept" });
    for (const id of [0, 1, String(asked?.["id"])]) await client.answer(id, { action: "accept" });
    expect(calls()).toHaveLength(1);
    await client.end();
    expect((await read.next(2))[1]).toMatchObject({ id: 1, error: {} });
    expect(calls()).toHaveLength(1);
  });
});

describe("what her client cannot give", () => {
  const url = { method: "elicitation/create", params: { mode: "url", message: "x", url: "https://example.com" } };
  const tools = { method: "sampling/createMessage", params: { messages: [], maxTokens: 1, tools: [] } };
  it.each<[string, object, object, string]>([
    ["nothing declared", {}, form(), "application/json, text/event-stream"],
    ["something else declared", { roots: {} }, form(), "application/json, text/event-stream"],
    ["no stream", CAPABLE, form(), "application/json"],
    ["no page", CAPABLE, url, "application/json, text/event-stream"],
    ["no tools of a model", CAPABLE, tools, "application/json, text/event-stream"],
    ["an unknown method", CAPABLE, { method: "tools/call" }, "application/json, text/event-stream"],
    ["a name of Object's", CAPABLE, { method: "constructor" }, "application/json, text/event-stream"],
  ])("%s: refused, and she is asked nothing", async (_, capabilities, request, accept) => {
    const { client, broker, calls } = await setup(asksOnce({ a: form(), b: request }), { capabilities });
    const credential = { "x-upstream-authorization": "Bearer c" };
    const reply = await client.call("echo", {}, { headers: { accept, ...credential } });
    expect(reply.messages).toMatchObject([{ id: 1, error: {} }]);
    expect(broker.observed).toEqual([["s", "capability_missing"]]);
    expect(reply.text).not.toContain(STATE);
    expect(calls()).toHaveLength(1);
    if (accept === "application/json") expect(META_OF(calls()[0])[DECLARED]).toEqual({});
  });

  it("her client's error, and an answer without a result, are no answer", async () => {
    const { client, broker, calls } = await setup(asksOnce({ a: form() }));
    const read = reading(await client.open());
    const [asked] = await read.next(1);
    await client.ask({ body: { id: asked?.["id"], error: { code: -1, message: "no" } }, use: "session" });
    expect((await read.next(2))[1]).toMatchObject({ id: 1, error: {} });
    expect(broker.observed).toEqual([["s", "capability_missing"]]);
    expect(calls()).toHaveLength(1);
  });

  it("a server of the stateless revision alone gets no client's words without a session", async () => {
    const { broker, calls } = await setup(asksOnce({ a: form() }));
    expect((await broker.call()).text).not.toContain(STATE);
    expect(META_OF(calls()[0])[DECLARED]).toEqual({});
    expect(broker.observed).toEqual([["s", "capability_missing"]]);
  });
});

describe("a hostile server", () => {
  const text =
    (members: string): OnCall =>
    ({ message }, response) =>
      json(response, 200, `{"jsonrpc":"2.0","id":${String(message?.id)},"result":{${members}}}`);
  const type = '"resultType":"input_required"';
  const one = JSON.stringify(form());
  const many = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [i, form()]));
  it.each<[string, OnCall]>([
    ["one key twice", text(`${type},"inputRequests":{"a":${one},"a":${one}}`)],
    ["one member twice", text(`${type},"inputRequests":{},"inputRequests":{"a":${one}}`)],
    ["a method twice", text(`${type},"inputRequests":{"a":{"method":"roots/list","method":"elicitation/create"}}`)],
    ["params twice", text(`${type},"inputRequests":{"a":{"method":"roots/list","params":{"a":1,"a":2}}}`)],
    ["params that are none", text(`${type},"inputRequests":{"a":{"method":"roots/list","params":[]}}`)],
    ["requests in an array", text(`${type},"inputRequests":[${one}]`)],
    ["a request without a method", text(`${type},"inputRequests":{"a":{}}`)],
    ["a state that is no text", text(`${type},"inputRequests":{"a":${one}},"requestState":{"a":1}`)],
    ["nothing asked", text(type)],
    ["too many questions", asksOnce(many)],
    ["a huge question", asksOnce({ a: form("x".repeat(300_000)) })],
    [
      "a huge question before it says so",
      text(`"inputRequests":{"a":${JSON.stringify(form("x".repeat(1_500_000)))}},${type}`),
    ],
  ])("%s: refused, and she is asked nothing", async (_, onCall) => {
    for (const maxResponseBytes of [8, 16]) {
      const { client, broker, calls } = await setup(onCall, {}, { maxResponseBytes: maxResponseBytes << 20 });
      const reply = await client.call();
      expect(reply.messages).toMatchObject([{ id: 1, error: {} }]);
      expect(reply.text).not.toContain(STATE);
      expect(broker.observed).toEqual([["s", "upstream_unavailable"]]);
      expect(calls()).toHaveLength(1);
    }
  });

  it.each<[string, object]>([
    ["nothing", {}],
    ["a question", { a: form() }],
  ])("that asks for ever, %s, is called nine times", async (_, requests) => {
    const { client, broker, calls } = await setup(
      (arrival, response) => json(response, 200, result(arrival, asks(requests))),
      {},
      { timeoutMs: 10_000 },
    );
    const read = reading(await client.open());
    const answers = Object.keys(requests).length * 8;
    for (let i = 1; i <= answers; i++) {
      const messages = await read.next(i);
      await client.answer(messages.at(-1)?.["id"], { action: "accept" });
    }
    await vi.waitFor(() => expect(broker.observed).toEqual([["s", "upstream_unavailable"]]), 8000);
    expect(calls()).toHaveLength(9);
  });

  it.each([100_000, 1_500_000])(
    "a state of %i bytes, or more, before it says so: nothing of it reaches her",
    async (bytes) => {
      for (const isEvent of [false, true]) {
        const state = `"requestState":"${STATE.padEnd(bytes, STATE)}",${type},"inputRequests":{"a":{"method":"no/such"}}`;
        const { client, broker, calls } = await setup(
          (arrival, response) => {
            const body = `{"jsonrpc":"2.0","id":${String(arrival.message?.id)},"result":{${state}}}`;
            if (isEvent) stream(response, [event(body)]);
            else json(response, 200, body);
          },
          {},
          { maxResponseBytes: 16 << 20 },
        );
        let seen = "";
        const response = await client.open();
        response.on("error", () => {}).on("data", (chunk: Buffer) => (seen += chunk.toString()));
        await vi.waitFor(() => expect(broker.observed).toHaveLength(1), 5000);
        await vi.waitFor(() => expect(response.closed).toBe(true));
        expect(broker.observed[0]?.[1]).toMatch(/upstream_unavailable|capability_missing/);
        expect(seen).not.toContain(STATE);
        expect(calls()).toHaveLength(1);
      }
    },
  );

  it.each([false, true])(
    "that asks behind a long beginning (in an event: %s): nothing of its state reaches her",
    async (isEvent) => {
      const { client, broker, calls } = await setup(
        ({ message }, response) => {
          const head = `{"jsonrpc":"2.0","id":${String(message?.id)},"result":{"long":"${"x".repeat(1_200_000)}",`;
          response.writeHead(200, { "content-type": isEvent ? "text/event-stream" : "application/json" });
          response.write(isEvent ? `data: ${head}` : head);
          setTimeout(() => response.end(`"requestState":"${STATE}",${type}}}${isEvent ? "\n\n" : ""}`), 200);
        },
        {},
        { maxResponseBytes: 16 << 20 },
      );
      let seen = "";
      const response = await client.open();
      response.on("error", () => {}).on("data", (chunk: Buffer) => (seen += chunk.toString()));
      await vi.waitFor(() => expect(broker.observed).toEqual([["s", "capability_missing"]]), 5000);
      await vi.waitFor(() => expect(response.closed).toBe(true));
      expect(seen).toContain("xxx");
      expect(seen).not.toContain(STATE);
      expect(calls()).toHaveLength(1);
    },
  );

  it("a long answer with such members is no question", async () => {
    const { client } = await setup(
      text(`"requestState":"x","content":[],"long":"${"x".repeat(200_000)}"`),
      {},
      { maxResponseBytes: 16 << 20 },
    );
    const reply = await client.call();
    expect(reply.messages).toMatchObject([{ id: 1, result: { content: [] } }]);
  });
});
