// A client of the stateless revision calls a server of an older one that asks back: an `input_required` result, and her answer.
import { describe, expect, it, vi } from "vitest";
import { freePort } from "../../../demo/ports.ts";
import type { BrokerReply, CallParts } from "../../../test/fakes/broker-client.ts";
import { SEAL_KEY, startTestBroker, type BrokerLimits, type TestServer } from "../../../test/fakes/broker.ts";
import { event, json, result, startEraServer, type Arrival, type FakeEra } from "../../../test/fakes/mcp-server.ts";
import { progress, relayFixture } from "../../../test/fakes/relay.ts";

const { closing } = relayFixture();

const CAPABLE = { elicitation: {}, sampling: {}, roots: {} };
const metaOf = (capabilities: object, more: object = {}) => ({
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": capabilities,
  ...more,
});

interface Question {
  readonly id: string | number;
  readonly method: string;
  readonly params?: object;
}
const WHO: Question = { id: "q-1", method: "elicitation/create", params: { message: "Who?" } };

/** A server that asks these one after another (each one a batch), and answers with all that it was answered. */
async function setup(
  batches: readonly (readonly Question[])[] = [[WHO]],
  { url, ...limits }: BrokerLimits & { readonly url?: string } = {},
  era: FakeEra = "sessions",
) {
  const answers: Arrival[] = [];
  const hooks: { onAnswer: () => void } = { onAnswer: () => {} };
  const upstream = await startEraServer(era, (arrival, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const left = [...batches];
    const got: unknown[] = [];
    let open = 0;
    const next = () => {
      const batch = left.shift();
      if (batch === undefined) response.end(event(result(arrival, { content: [], got })));
      open = batch?.length ?? 0;
      response.write(batch?.map((question) => event({ jsonrpc: "2.0", ...question })).join("") ?? "");
    };
    hooks.onAnswer = () => {
      const answer = JSON.parse(answers.at(-1)?.body ?? "") as Record<string, unknown>;
      got.push(answer["result"] ?? answer["error"]);
      open -= 1;
      response.write(event(progress("first")));
      if (open === 0) next();
    };
    next();
  });
  upstream.onAny = (arrival, response) => {
    if (arrival.http !== "POST" || arrival.method !== "") return false;
    answers.push(arrival);
    response.writeHead(202).end();
    hooks.onAnswer();
    return true;
  };
  const servers: Record<string, TestServer> = { s: { url: url ?? upstream.url }, other: { url: upstream.url } };
  const broker = await startTestBroker(servers, { clientSessions: {}, ...limits });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  const call = ({ params, ...parts }: CallParts & { readonly capabilities?: object } = {}) =>
    broker.call({
      modern: true,
      ...parts,
      params: { arguments: { a: 1 }, _meta: metaOf(parts.capabilities ?? CAPABLE), ...params },
    });
  const goOn = (before: BrokerReply, more: CallParts = {}, answer: unknown = { action: "accept" }) =>
    call({ id: 2, ...more, params: { ...retryOf(before, answer), ...more.params } });
  return { upstream, broker, answers, call, goOn };
}

const resultOf = ({ messages }: BrokerReply) => messages.at(-1)?.["result"] as Record<string, unknown>;
const stateOf = (reply: BrokerReply) => String(resultOf(reply)["requestState"]);
const keysOf = (reply: BrokerReply) => Object.keys(resultOf(reply)["inputRequests"] as object);
const retryOf = (before: BrokerReply, answer: unknown) => ({
  inputResponses: Object.fromEntries(keysOf(before).map((key) => [key, answer])),
  requestState: stateOf(before),
});
const asks = (question: Question = WHO) => ({
  resultType: "input_required",
  inputRequests: { request: { method: question.method, ...(question.params && { params: question.params }) } },
  requestState: expect.stringMatching(/^[\w-]+$/) as string,
});
const UNKNOWN = { code: -32_602, data: { reason: "params_invalid" } };

describe("a session server asks a client of the stateless revision", () => {
  it.each([
    WHO,
    { id: 0, method: "sampling/createMessage", params: { messages: [], maxTokens: 1.0 } },
    { id: 7, method: "roots/list" },
  ])("$method: by a result, and her answer goes to it", async (question) => {
    const { upstream, broker, answers, call, goOn } = await setup([[question]]);
    const asked = await call({ id: "one" });
    expect([asked.status, asked.messages.at(-1)?.["id"]]).toEqual([200, "one"]);
    expect(resultOf(asked)).toEqual(asks(question));
    expect([answers.length, broker.kept()]).toEqual([0, 1]);
    const done = await goOn(asked, { id: "two" }, { action: "accept", content: { n: 1 } });
    expect(done.messages.at(-1)).toEqual({
      jsonrpc: "2.0",
      id: "two",
      result: { content: [], got: [{ action: "accept", content: { n: 1 } }], resultType: "complete" },
    });
    expect(JSON.parse(answers[0]?.body ?? "")).toMatchObject({ jsonrpc: "2.0", id: question.id });
    expect(upstream.of("tools/call")).toHaveLength(1);
    for (const name of ["mcp-session-id", "authorization"])
      expect(answers[0]?.headers[name]).toBe(upstream.of("tools/call")[0]?.headers[name]);
    expect(broker.kept()).toBe(0);
    await vi.waitFor(() => expect(broker.observed).toEqual([["s", "answered"]]));
  });

  it("one question after another, and several at once: one result each", async () => {
    const third = { ...WHO, id: 3, params: { message: "Why?" } };
    const { call, goOn } = await setup([[WHO], [{ ...WHO, id: 2 }, third]]);
    const first = await call();
    const second = await goOn(first, {}, { action: "accept", n: 1 });
    const last = await goOn(second, {}, { action: "accept", n: 2 });
    expect(resultOf(last)).toEqual(asks(third));
    expect(new Set([first, second, last].map(stateOf)).size).toBe(3);
    const done = await goOn(last, {}, { action: "decline" });
    expect(resultOf(done)).toMatchObject({ got: [{ n: 1 }, { n: 2 }, { action: "decline" }] });
  });

  it("progress carries the token of the request that is under way", async () => {
    const { call, goOn } = await setup();
    const first = await call({ params: { _meta: metaOf(CAPABLE, { progressToken: "first" }) } });
    const done = await goOn(first, { params: { _meta: metaOf(CAPABLE, { progressToken: 5 }) } });
    expect(done.messages[0]).toMatchObject({ method: "notifications/progress", params: { progressToken: 5 } });
  });

  it("a request without an answer is asked again", async () => {
    const { answers, call, goOn } = await setup();
    const first = await call();
    const again = await goOn(first, { params: { inputResponses: { other: {} } } });
    expect(resultOf(again)).toEqual(asks());
    expect((await goOn(first)).message.error).toMatchObject(UNKNOWN);
    expect(answers).toEqual([]);
    expect(resultOf(await goOn(again))).toMatchObject({ got: [{ action: "accept" }] });
  });

  it("the handshake declares what she can do, and nobody else's session does", async () => {
    const { upstream, call } = await setup([]);
    await call({ capabilities: { elicitation: { form: {}, magic: {} }, tasks: {} } });
    await call({ capabilities: {} });
    await call({ capabilities: { elicitation: { form: {} } } });
    expect(upstream.of("initialize").map(({ params }) => params["capabilities"])).toEqual([
      { elicitation: { form: {} } },
      {},
    ]);
  });

  it.each([
    ["that she did not declare", {}, { sampling: {} }],
    ["without keys", { clientSessions: undefined }, CAPABLE],
    ["beyond the calls that may wait", { clientSessions: { kept: { maxPerCaller: 0 } } }, CAPABLE],
    ["beyond all that may wait", { clientSessions: { kept: { max: 0 } } }, CAPABLE],
  ] as [string, BrokerLimits, object][])(
    "a request %s is answered with -32601 at once",
    async (_, limits, capabilities) => {
      const { call } = await setup([[WHO]], limits);
      expect(resultOf(await call({ capabilities }))).toMatchObject({ got: [{ code: -32_601 }] });
    },
  );
});

describe("over two replicas", () => {
  it("the one that keeps the call goes on with it, whichever gets her answer", async () => {
    const port = await freePort();
    const address = `127.0.0.1:${port}`;
    const one = await setup([[WHO]], { port, clientSessions: { address } });
    const two = await setup([[WHO]], { clientSessions: { address: "127.0.0.1:9" }, url: one.upstream.url });
    const done = await two.goOn(await one.call(), { id: "there" });
    expect(done.messages.at(-1)).toMatchObject({ id: "there", result: { got: [{ action: "accept" }] } });
    expect([one.answers.length, two.upstream.requests.length, one.broker.kept()]).toEqual([1, 0, 0]);
  });
});

describe("requestState of another", () => {
  const bent = (state: string) => `${state.slice(0, -2)}${state.endsWith("AA") ? "BB" : "AA"}`;
  it.each<[string, (state: string) => CallParts]>([
    ["another caller", () => ({ claims: { sub: "mallory" } })],
    ["another issuer", () => ({ claims: { idp: "https://other.example" } })],
    ["another client of hers", () => ({ claims: { client: "other" } })],
    ["another endpoint", () => ({ path: "/mcp" })],
    ["another server", () => ({ server: "other" })],
    ["another tool", () => ({ name: "delete" })],
    ["another method", () => ({ method: "prompts/get" })],
    ["other arguments", () => ({ params: { arguments: { a: 2 } } })],
    ["an altered one", (state) => ({ params: { requestState: bent(state) } })],
    ["a made one", () => ({ params: { requestState: "eyJhIjoxfQ" } })],
    ["none of ours", () => ({ params: { requestState: "x".repeat(5000) } })],
    ["no text", () => ({ params: { requestState: { a: 1 } } })],
  ])("%s: -32602, and nothing reaches a server", async (_, more) => {
    const { upstream, broker, answers, call, goOn } = await setup();
    const asked = await call();
    const before = upstream.requests.length;
    const reply = await goOn(asked, more(stateOf(asked)));
    expect([reply.status, reply.message.error]).toMatchObject([400, UNKNOWN]);
    expect([answers.length, broker.kept()]).toEqual([0, 1]);
    const late = upstream.requests.slice(before).map(({ method }) => method);
    expect(late.filter((method) => method !== "server/discover")).toEqual([]);
    expect(resultOf(await goOn(asked))).toMatchObject({ got: [{ action: "accept" }] });
  });

  it("a second time: one of two requests alone goes on", async () => {
    const { answers, call, goOn } = await setup();
    const asked = await call();
    const replies = await Promise.all([goOn(asked), goOn(asked)]);
    expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400]);
    expect((await goOn(asked)).message.error).toMatchObject(UNKNOWN);
    expect(answers).toHaveLength(1);
  });

  it("too late", async () => {
    const { broker, answers, call, goOn } = await setup();
    const asked = await call();
    broker.ahead = 5 * 60_000;
    const iat = Math.floor(Date.now() / 1000) + 5 * 60;
    const late = await goOn(asked, { claims: { iat, exp: iat + 300, caller_exp: iat + 3600 } });
    expect(late.message.error).toMatchObject(UNKNOWN);
    expect(answers).toEqual([]);
  });

  it("of a replica that cannot be reached", async () => {
    const { call } = await setup();
    const elsewhere = await setup([[WHO]], { clientSessions: { address: "127.0.0.1:9" } });
    const reply = await elsewhere.goOn(await call());
    expect([reply.status, reply.message.error]).toMatchObject([400, UNKNOWN]);
    expect(elsewhere.upstream.requests).toEqual([]);
  });

  it("sealed with another key", async () => {
    const { call } = await setup();
    const keys = [{ id: SEAL_KEY.id, key: Buffer.alloc(32, 9) }];
    const elsewhere = await setup([[WHO]], { clientSessions: { keys } });
    expect((await elsewhere.goOn(await call())).message.error).toMatchObject(UNKNOWN);
    expect(elsewhere.answers).toEqual([]);
  });

  it("a server of the stateless revision gets its own, unchanged", async () => {
    const { upstream, call } = await setup([], {}, "modern");
    upstream.onCall = (arrival, response) => json(response, 200, result(arrival, { resultType: "complete" }));
    const retry = { requestState: "its-own.\u00e9", inputResponses: { k: { action: "accept" } } };
    expect((await call({ params: retry })).status).toBe(200);
    expect(upstream.of("tools/call")[0]?.params).toMatchObject(retry);
  });
});

describe("a call that waits", () => {
  it("ends at its server when its client does not come back", async () => {
    const alarms: (() => void)[] = [];
    const later = (run: () => void) => {
      alarms.push(run);
      return { cancel: () => void alarms.splice(alarms.indexOf(run), 1) };
    };
    const { upstream, broker, call, goOn } = await setup([[WHO]], { clientSessions: { kept: { later } } });
    const asked = await call();
    for (const alarm of [...alarms]) alarm();
    await vi.waitFor(() => expect(upstream.of("notifications/cancelled")).toHaveLength(1));
    await vi.waitFor(() => expect(broker.observed).toEqual([["s", "left"]]));
    expect((await goOn(asked)).message.error).toMatchObject(UNKNOWN);
    expect([broker.kept(), broker.held()]).toEqual([0, 0]);
  });

  it("holds its bytes and a turn of its caller, and no longer than it lasts", async () => {
    const { broker, call, goOn } = await setup([[WHO]], { maxCallsPerCaller: 1 });
    const asked = await call();
    expect(broker.held()).toBeGreaterThan(0);
    expect((await call()).status).toBe(429);
    expect((await goOn(asked)).status).toBe(200);
    await vi.waitFor(() => expect(broker.held()).toBe(0));
    expect((await call()).status).toBe(200);
  });

  it("ends with the broker", async () => {
    const { broker, call } = await setup();
    await call();
    await broker.close();
    await vi.waitFor(() => expect(broker.observed).toHaveLength(1));
    expect(broker.kept()).toBe(0);
  });
});
