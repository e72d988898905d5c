// Clients of HTTP+SSE (2024-11-05): the stream is the session, and everything of it comes there.
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { describe, expect, it, vi } from "vitest";
import { startTestBroker, type BrokerLimits } from "../../../test/fakes/broker.ts";
import { event, json, result, startEraServer } from "../../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../../test/fakes/relay.ts";
import { claimsOf, wristband } from "../../../test/fakes/wristband.ts";
import { proofOf, sdkSseClient } from "../../../test/fakes/sdk-session-client.ts";

const { closing } = relayFixture();

async function setup(limits: BrokerLimits = {}) {
  const upstream = await startEraServer("sessions");
  upstream.onAny = (arrival, response) => arrival.http === "GET" && response.writeHead(405).end() === response;
  const broker = await startTestBroker(
    { s: { url: upstream.url }, t: { url: upstream.url } },
    { clientSessions: {}, ...limits },
  );
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  const origin = `http://127.0.0.1:${broker.port}`;
  return { upstream, broker, origin };
}

/** A stream as raw text, and where its messages are posted. */
async function openStream(origin: string, { path = "/servers/s/sse", who = {} } = {}) {
  const ending = new AbortController();
  const response = await fetch(origin + path, {
    headers: { accept: "text/event-stream", ...proofOf(undefined, who) },
    signal: ending.signal,
  });
  const heard = { text: "" };
  const decoder = new TextDecoder();
  if (response.status === 200)
    void response.body
      ?.pipeTo(new WritableStream({ write: (chunk) => void (heard.text += decoder.decode(chunk)) }))
      .catch(() => {});
  if (response.status === 200) await vi.waitFor(() => expect(heard.text).toContain("\n\n"));
  return { response, heard, path: /data: (\S+)/.exec(heard.text)?.[1] ?? "", end: () => ending.abort() };
}

async function post(url: string, message: object, who: object = {}) {
  const init = {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", ...message }),
  };
  const response = await fetch(url, { ...init, headers: { ...init.headers, ...proofOf(init, who) } });
  return { status: response.status, text: await response.text() };
}

const CALL = { id: 5, method: "tools/call", params: { name: "echo", arguments: {} } };

describe("AP-01: the client of SDK 1", () => {
  it("greets, calls several at once, each with its own answer, and is asked by the server", async () => {
    const { upstream, broker } = await setup();
    upstream.onCall = (arrival, response) => {
      const { arguments: given } = (JSON.parse(arrival.body) as { params: { arguments: { n: number } } }).params;
      setTimeout(
        () => json(response, 200, result(arrival, { content: [{ type: "text", text: `n${given.n}` }] })),
        given.n % 7,
      );
    };
    const { client, connect } = sdkSseClient(broker.port, { elicitation: {} });
    await connect();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => client.callTool({ name: "echo", arguments: { n } })),
    );
    expect(answers.map(({ content }) => (content as { text: string }[])[0]?.text)).toEqual(
      Array.from({ length: 50 }, (_, n) => `n${n}`),
    );
    client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: { who: "me" } }));
    let answer: string | undefined;
    upstream.onAny = (arrival, response) => {
      if (arrival.http === "POST" && arrival.method !== "") return false;
      if (arrival.http === "POST") answer = arrival.body;
      response.writeHead(arrival.http === "GET" ? 405 : 202).end();
      return true;
    };
    upstream.onCall = (arrival, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const params = { message: "Who?", requestedSchema: { type: "object", properties: {} } };
      response.write(event({ jsonrpc: "2.0", id: 3, method: "elicitation/create", params }));
      response.write(event({ jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "x" } }));
      void vi
        .waitFor(() => expect(answer).toBeDefined())
        .then(() => response.end(event(result(arrival, { content: [] }))));
    };
    expect(await client.callTool({ name: "echo", arguments: {} })).toMatchObject({ content: [] });
    expect(JSON.parse(answer ?? "")).toMatchObject({ id: 3, result: { action: "accept" } });
    await client.close();
  });

  it("takes a call back, which ends it at the server, and the session ends with the stream", async () => {
    const { upstream, broker } = await setup();
    upstream.onCall = () => {};
    const { client, connect } = sdkSseClient(broker.port, {});
    await connect();
    const stop = new AbortController();
    const call = client.callTool({ name: "echo", arguments: {} }, undefined, { signal: stop.signal });
    call.catch(() => {});
    await vi.waitFor(() => expect(upstream.of("tools/call")).toHaveLength(1));
    stop.abort();
    await expect(call).rejects.toThrow();
    await vi.waitFor(() => expect(upstream.of("notifications/cancelled")).toHaveLength(1));
    await client.close();
    await vi.waitFor(() => expect(upstream.of("DELETE")).toHaveLength(1));
  });
});

describe("AP-03: the id in the URL authorizes nobody", () => {
  it("another user's, another endpoint's, an altered one and none: 404, and no server hears of it", async () => {
    const { upstream, origin } = await setup();
    const { path, end } = await openStream(origin);
    const other = path.replace("/servers/s/", "/servers/t/");
    const altered = path.slice(0, -3) + (path.endsWith("AAA") ? "BBB" : "AAA");
    const before = upstream.requests.length;
    for (const who of [{ sub: "bob" }, { idp: "https://other.example.com" }, { client: "other" }])
      expect((await post(origin + path, CALL, who)).status).toBe(404);
    for (const wrong of [altered, "/servers/s/sse/x"]) expect((await post(origin + wrong, CALL)).status).toBe(404);
    expect((await post(origin + other, { id: 1, method: "ping" })).status).toBe(404);
    expect((await fetch(origin + path, { method: "POST", body: "{}" })).status).toBe(403);
    expect((await post(`${origin}/servers/s/sse`, { id: 1, method: "ping" })).status).toBe(405);
    expect(upstream.requests).toHaveLength(before);
    end();
  });

  it("one of streamable HTTP opens nothing here, and ours nothing there; over with its stream", async () => {
    const { origin } = await setup();
    const { path, end } = await openStream(origin);
    const id = path.split("/").at(-1) ?? "";
    const headers = { "content-type": "application/json", "mcp-session-id": id };
    const init = { method: "POST", body: JSON.stringify({ jsonrpc: "2.0", ...CALL }) };
    const elsewhere = await fetch(`${origin}/servers/s/mcp`, { ...init, headers: { ...headers, ...proofOf(init) } });
    expect(elsewhere.status).toBe(404);
    end();
    await vi.waitFor(async () => expect((await post(origin + path, CALL)).status).toBe(404));
  });
});

describe("AP-01: what serve refuses comes on the stream", () => {
  const refusal = { reason: "credential_missing", requestId: "req-of-serve", help: "Ask the help desk" };
  /** As serve lets it through. */
  const refusedPost = async (url: string, message: object, claims: object = {}) => {
    const headers = {
      "content-type": "application/json",
      "x-authorized-tools": wristband(claimsOf({ use: "refusal", refusal, ...claims })),
    };
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    const response = await fetch(url, { method: "POST", headers, body });
    return { status: response.status, text: await response.text() };
  };

  it("with her id and serve's words, under 202, and no server hears of it; the session goes on", async () => {
    const { upstream, origin } = await setup();
    upstream.onCall = (arrival, response) => json(response, 200, result(arrival, { content: [] }));
    const { path, heard, end } = await openStream(origin);
    const before = upstream.requests.length;
    expect(await refusedPost(origin + path, CALL)).toEqual({ status: 202, text: "" });
    const large = { ...CALL, id: 6, params: { name: "echo", arguments: { n: 2 ** 60 } } };
    const malformed = {
      reason: "body_malformed",
      requestId: "req two",
      about: "an integer beyond 2^53 - 1: send it as text",
    };
    expect((await refusedPost(origin + path, large, { refusal: malformed })).status).toBe(202);
    await vi.waitFor(() => expect(heard.text).toContain("req two"));
    const messages = heard.text
      .split("\n\n")
      .filter((part) => part.startsWith("event: message\n"))
      .map((part) => JSON.parse(part.slice("event: message\ndata: ".length)) as object);
    expect(messages).toMatchObject([
      { id: 5, error: { code: 403, message: expect.stringContaining("Ask the help desk"), data: refusal } },
      { id: 6, error: { message: expect.stringContaining("send it as text"), data: { reason: "body_malformed" } } },
    ]);
    expect(upstream.requests).toHaveLength(before);
    expect((await post(origin + path, { ...CALL, id: 7 })).status).toBe(202);
    await vi.waitFor(() => expect(heard.text).toContain('"id":7'));
    end();
  });

  it("allows nothing anywhere else, and opens nobody else's session", async () => {
    const { upstream, origin } = await setup();
    const { path, heard, end } = await openStream(origin);
    const before = upstream.requests.length;
    for (const url of ["/servers/s/mcp", "/mcp"]) expect((await refusedPost(origin + url, CALL)).status).toBe(403);
    for (const who of [{ sub: "bob" }, { client: "other" }])
      expect((await refusedPost(origin + path, CALL, who)).status).toBe(404);
    const accept = {
      accept: "text/event-stream",
      "x-authorized-tools": wristband(claimsOf({ use: "refusal", refusal })),
    };
    expect((await fetch(`${origin}/servers/s/sse`, { headers: accept })).status).toBe(403);
    expect((await refusedPost(origin + path, CALL, { tools: { s: ["echo"] } })).status).toBe(403);
    const unknown = { refusal: { ...refusal, reason: "made_up" } };
    expect((await refusedPost(origin + path, CALL, unknown)).status).toBe(403);
    expect(upstream.requests).toHaveLength(before);
    expect(heard.text).not.toContain("credential_missing");
    end();
  });
});

describe("hostile clients and bad luck", () => {
  it("a stream that is closed mid-call ends the call at the server", async () => {
    const { upstream, origin } = await setup();
    upstream.onCall = () => {};
    const { path, end } = await openStream(origin);
    expect((await post(origin + path, CALL)).status).toBe(202);
    await vi.waitFor(() => expect(upstream.of("tools/call")).toHaveLength(1));
    end();
    await vi.waitFor(() => expect(upstream.of("notifications/cancelled")).toHaveLength(1));
  });

  it("a flood of calls is bounded, and each refusal comes on the stream with its id", async () => {
    const { upstream, origin } = await setup({ maxCallsPerCaller: 4 });
    upstream.onCall = () => {};
    const { path, heard, end } = await openStream(origin);
    for (let id = 1; id <= 8; id += 1) expect((await post(origin + path, { ...CALL, id })).status).toBe(202);
    await vi.waitFor(() => expect(heard.text.match(/rate_limited/g)).toHaveLength(4));
    expect(upstream.of("tools/call")).toHaveLength(4);
    end();
  });

  it("streams without a message are bounded for each caller, and free again when they end", async () => {
    const { origin } = await setup({ clientSessions: { maxPerCaller: 8 } });
    const opened = await Promise.all(Array.from({ length: 20 }, () => openStream(origin)));
    const taken = opened.filter(({ response }) => response.status === 200);
    expect(taken).toHaveLength(8);
    expect(opened.filter(({ response }) => response.status === 429)).toHaveLength(12);
    expect((await openStream(origin, { who: { sub: "bob" } })).response.status).toBe(200);
    for (const { end } of taken) end();
    await vi.waitFor(async () => expect((await openStream(origin)).response.status).toBe(200));
  });

  it("a long answer and what comes meanwhile do not mix, and a silent stream gets comments", async () => {
    const { upstream, origin } = await setup({ keepAliveMs: 40 });
    const text = "x".repeat(600_000);
    upstream.onCall = (arrival, response) => {
      const whole = JSON.stringify(result(arrival, { content: [{ type: "text", text }] }), null, 2);
      response.writeHead(200, { "content-type": "application/json", "content-length": whole.length });
      response.write(whole.slice(0, 300_000));
      setTimeout(() => response.end(whole.slice(300_000)), 100);
    };
    const { path, heard, end } = await openStream(origin);
    expect((await post(origin + path, CALL)).status).toBe(202);
    expect((await post(origin + path, { id: 6, method: "ping" })).status).toBe(202);
    await vi.waitFor(() => expect(heard.text).toMatch(/"id": 5/), 5000);
    await vi.waitFor(() => expect(heard.text).toContain(":\n\n"));
    const ids = () =>
      heard.text
        .split("\n\n")
        .slice(0, -1)
        .filter((part) => part.startsWith("event: message\n"))
        .map((part) => (JSON.parse(part.slice("event: message\ndata: ".length)) as { id: number }).id);
    await vi.waitFor(() => expect(new Set(ids())).toEqual(new Set([5, 6])), 5000);
    end();
  });
});

it("a client without a handshake has no capabilities, and one that closes the POST at once still gets its answer", async () => {
  const { upstream, origin } = await setup();
  upstream.onCall = (arrival, response) => json(response, 200, result(arrival, { content: [] }));
  const { path, heard, end } = await openStream(origin);
  await post(origin + path, CALL);
  await vi.waitFor(() => expect(heard.text).toContain('"id":5'));
  end();
});
