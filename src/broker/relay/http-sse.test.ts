// Calls to servers of HTTP+SSE (2024-11-05): they work as over streamable HTTP, and a hostile server gains nothing.
import { afterEach, describe, expect, it, vi } from "vitest";
import { CREDENTIAL, reasonOf } from "../../../test/fakes/broker-client.ts";
import { startTestBroker, type TestBroker, type TestServer } from "../../../test/fakes/broker.ts";
import { event, result } from "../../../test/fakes/mcp-server.ts";
import { progress } from "../../../test/fakes/relay.ts";
import { answerOnStream, startSseServer, type SseServer } from "../../../test/fakes/sse-server.ts";
import { createSlices } from "../../async/slices.ts";
import { Secret } from "../../secret/secret.ts";
import { createResolver } from "../../mcp/resolver.ts";
import { listUpstream } from "../catalog/listing.ts";
import { createUpstreams } from "../upstream/upstream.ts";

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function setup(server: Partial<TestServer> = {}): Promise<{ upstream: SseServer; broker: TestBroker }> {
  const upstream = await startSseServer();
  const broker = await startTestBroker({ s: { url: upstream.url, ...server } });
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  return { upstream, broker };
}

const OK = { content: [{ type: "text", text: "ok" }] };
const credentialsOf = ({ requests }: SseServer) => new Set(requests.map(({ headers }) => headers.authorization));
/** Answers calls so, everything else as usual. */
const onCall =
  (special: SseServer["onMessage"]): SseServer["onMessage"] =>
  (arrival, say, session) =>
    (arrival.method === "tools/call" ? special : answerOnStream)(arrival, say, session);

describe("TB-07: a server of HTTP+SSE", () => {
  it.each([false, true])("answers a call, its client modern: %s", async (modern) => {
    const { upstream, broker } = await setup();
    const reply = await broker.call({ modern, id: "mine" });
    expect([reply.status, reply.message.id]).toEqual([200, "mine"]);
    expect(reply.message.result).toMatchObject(OK);
    expect(upstream.of("GET").map(({ headers }) => headers.accept)).toEqual(["text/event-stream"]);
    // AP-03: the credential goes with each request, the broker's name for the session with none.
    expect(credentialsOf(upstream)).toEqual(new Set([CREDENTIAL]));
    expect(upstream.requests.filter(({ headers }) => "mcp-session-id" in headers)).toEqual([]);
  });

  it("is remembered: one stream for all calls of a caller, one for each other caller", async () => {
    const { upstream, broker } = await setup();
    for (let i = 0; i < 3; i += 1) await broker.call();
    expect([upstream.of("GET").length, upstream.streams.size, upstream.of("initialize").length]).toEqual([1, 1, 2]);
    await broker.call({ claims: { sub: "bob" } });
    await broker.call({ headers: { "x-upstream-authorization": "Bearer other" } });
    expect([upstream.streams.size, broker.sessions()]).toEqual([3, 3]);
    const paths = upstream.of("tools/call").map(({ path }) => path);
    expect(new Set(paths).size).toBe(3);
    // Known by now: `initialize` is posted to the endpoint at once.
    expect(upstream.of("initialize").filter(({ path }) => path === "/sse")).toHaveLength(1);
  });

  it("gives many calls at once each its own answer, in any order", async () => {
    const { upstream, broker } = await setup();
    const waiting: (() => void)[] = [];
    upstream.onMessage = onCall((arrival, say) => {
      waiting.push(() => say(result(arrival, { content: [], of: (arrival.params["arguments"] as { n: number }).n })));
      if (waiting.length === 8) for (const answer of waiting.toReversed()) answer();
    });
    const all = Array.from({ length: 8 }, (_, n) => broker.call({ id: 1, params: { arguments: { n } } }));
    const replies = await Promise.all(all);
    expect(replies.map(({ message }) => message.result?.["of"])).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it("progress goes to the call that it is of, and a log message to the one call under way", async () => {
    const { upstream, broker } = await setup();
    const log = { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "x" } };
    upstream.onMessage = onCall((arrival, say) => {
      const changed = { jsonrpc: "2.0", method: "notifications/tools/list_changed" };
      for (const one of [changed, progress("p"), progress("foreign"), log]) say(one);
      say(result(arrival));
    });
    const { messages } = await broker.call({ params: { _meta: { progressToken: "p" } } });
    expect(messages.map(({ method }) => method)).toEqual([
      "notifications/progress",
      "notifications/message",
      undefined,
    ]);
  });

  it("a call that hangs is cut at its time, the server is told, and the next call works", async () => {
    const { upstream, broker } = await setup({ timeoutMs: 300 });
    await broker.call();
    upstream.onMessage = onCall(() => {});
    expect([(await broker.call()).status]).toEqual([504]);
    upstream.onMessage = answerOnStream;
    expect((await broker.call()).status).toBe(200);
  });

  it("a server that hangs altogether, also on GET, is cut at its time", async () => {
    const { upstream, broker } = await setup({ timeoutMs: 300 });
    upstream.onAny = () => true;
    expect((await broker.call()).status).toBe(504);
    upstream.onAny = () => false;
    expect((await broker.call()).status).toBe(200);
  });

  it("a client that leaves cancels her call at the server, with the id that it has there", async () => {
    const { upstream, broker } = await setup();
    upstream.onMessage = onCall((_, say) => say(progress("p")));
    broker.leave({ params: { _meta: { progressToken: "p" } } }, 200);
    const cancelled = await vi.waitFor(() => {
      const [found] = upstream.of("notifications/cancelled");
      expect(found).toBeDefined();
      return found!;
    });
    expect(cancelled.params["requestId"]).toBe(upstream.of("tools/call")[0]?.message?.id);
  });

  it("a stream that broke is opened anew for the next call; a call under way fails", async () => {
    const { upstream, broker } = await setup();
    await broker.call();
    upstream.onMessage = onCall((_, __, session) => upstream.streams.get(session)?.destroy());
    expect(reasonOf((await broker.call()).message)).toBe("upstream_unavailable");
    upstream.onMessage = answerOnStream;
    expect((await broker.call()).status).toBe(200);
    for (const stream of upstream.streams.values()) stream.end();
    await vi.waitFor(() => expect(upstream.streams.size).toBe(0));
    expect((await broker.call()).status).toBe(200);
  });

  it("an idle session ends its stream, and so does the end of the broker", async () => {
    const { upstream, broker } = await setup();
    await broker.call();
    broker.ahead = 61_000;
    broker.sweep();
    await vi.waitFor(() => expect(upstream.streams.size).toBe(0));
    await broker.call();
    await broker.close();
    await vi.waitFor(() => expect(upstream.streams.size).toBe(0));
  });

  it("its ping is answered, its other requests are refused at once when nobody can answer", async () => {
    const { upstream, broker } = await setup();
    await broker.call();
    const [stream] = upstream.streams.values();
    for (const [id, method] of [
      ["a", "ping"],
      [7, "sampling/createMessage"],
    ])
      stream?.write(event({ jsonrpc: "2.0", id, method }));
    const answers = await vi.waitFor(() => {
      const found = upstream.requests.map(({ body }) => body).filter((body) => /"(?:error|result)"/.test(body));
      expect(found).toHaveLength(2);
      return found.map((body) => JSON.parse(body) as Record<string, unknown>);
    });
    expect(answers[0]).toEqual({ jsonrpc: "2.0", id: "a", result: {} });
    expect(answers[1]).toMatchObject({ id: 7, error: { code: -32_601 } });
  });

  it("is listed", async () => {
    const upstream = await startSseServer();
    const settings = {
      url: upstream.url,
      ca: null,
      timeoutMs: 1000,
      maxResponseBytes: 1e6,
      sessions: "client" as const,
      credentialHeaders: new Set<string>(),
    };
    const upstreams = createUpstreams(new Map([["s", { ...settings, needsCredential: false }]]));
    closing.push(
      () => upstream.close(),
      () => upstreams.close(),
    );
    const limits = { serverNameBytes: 10_000, serverDefinitionBytes: 100_000 };
    const credential = { header: "authorization", value: new Secret("Bearer d") };
    const options = { upstream: upstreams.get("s")!.lists, credential, timeoutMs: 2000, limits, isOffered: () => true };
    for (let i = 0; i < 3; i += 1) {
      const listing = await listUpstream({
        ...options,
        names: createResolver({ s: "" }).namesOf("s"),
        slices: createSlices(),
        outputSchemas: { compile: () => Promise.resolve([]) },
      });
      expect(listing.tools.map(({ name }) => name)).toEqual(["t"]);
    }
    await vi.waitFor(() => expect(upstream.streams.size).toBe(0));
    expect(credentialsOf(upstream)).toEqual(new Set(["Bearer d"]));
  });
});

describe("a hostile server of HTTP+SSE", () => {
  it.each([
    ["another host", "http://127.0.0.2:1/messages"],
    ["another scheme", "https://127.0.0.1/messages"],
    ["user info", "http://a:b@127.0.0.1/messages"],
    ["no reference", "/mess ages"],
  ])("AP-03: an endpoint with %s gets no message", async (_, endpoint) => {
    const { upstream, broker } = await setup();
    upstream.endpoint = () => endpoint;
    expect(reasonOf((await broker.call()).message)).toBe("upstream_unavailable");
    expect(broker.log.at(-1)).toContain("endpoint_refused");
    expect(upstream.requests.filter(({ http, path }) => http === "POST" && path !== "/sse")).toEqual([]);
    await vi.waitFor(() => expect(upstream.streams.size).toBe(0));
  });

  it("a second endpoint changes nothing", async () => {
    const { upstream, broker } = await setup();
    await broker.call();
    const [stream] = upstream.streams.values();
    stream?.write(event("/elsewhere", "endpoint"));
    expect((await broker.call()).status).toBe(200);
    expect(upstream.requests.filter(({ path }) => path === "/elsewhere")).toEqual([]);
  });

  it("a redirect of the stream or of a message is not followed", async () => {
    const { upstream, broker } = await setup();
    upstream.onAny = ({ http, path }, response) => {
      if (http !== "GET" || path !== "/sse") return false;
      response.writeHead(307, { location: "/sse?again" }).end();
      return true;
    };
    expect(reasonOf((await broker.call()).message)).toBe("upstream_unavailable");
    upstream.onAny = ({ method }, response) => {
      if (method !== "tools/call") return false;
      response.writeHead(307, { location: "/messages?again" }).end();
      return true;
    };
    expect(reasonOf((await broker.call()).message)).toBe("upstream_unavailable");
    expect(upstream.requests.filter(({ path }) => path.includes("again"))).toEqual([]);
  });

  it("B32: an answer with the id of another caller's call reaches nobody", async () => {
    const { upstream, broker } = await setup({ timeoutMs: 500 });
    let alices: unknown;
    upstream.onMessage = onCall((arrival, say) => {
      if (alices === undefined) alices = arrival.message?.id;
      else say({ jsonrpc: "2.0", id: alices, result: { content: [{ type: "text", text: "bob's own" }] } });
    });
    const alice = broker.call();
    await vi.waitFor(() => expect(alices).toBeDefined());
    const [first, second] = await Promise.all([alice, broker.call({ claims: { sub: "bob" } })]);
    expect([first.status, second.status]).toEqual([504, 504]);
    expect(first.text + second.text).not.toContain("own");
  });

  it("a stream without an endpoint, or with another first event, is no HTTP+SSE", async () => {
    const { upstream, broker } = await setup();
    upstream.onAny = ({ http }, response) => {
      if (http !== "GET") return false;
      response.writeHead(200, { "content-type": "text/event-stream" }).write(event({ jsonrpc: "2.0" }));
      return true;
    };
    await broker.call();
    expect(broker.log.at(-1)).toContain("initialize_404");
    expect(upstream.of("initialize").map(({ path }) => path)).toEqual(["/sse"]);
  });

  it("an endless event ends the stream at its bound, and nobody else's", async () => {
    const { upstream, broker } = await setup({ timeoutMs: 20_000 });
    await broker.call({ claims: { sub: "bob" } });
    upstream.onMessage = onCall((_, __, session) => {
      const stream = upstream.streams.get(session);
      stream?.write("data: ");
      const piece = Buffer.alloc(256 * 1024, "a");
      const more = () => void (stream?.destroyed === false && stream.write(piece, more));
      more();
    });
    expect(reasonOf((await broker.call()).message)).toBe("upstream_unavailable");
    expect(broker.log.at(-1)).toContain("too_large");
    await vi.waitFor(() => expect(upstream.streams.size).toBe(1));
  });

  it("what says nothing to anybody does not keep calls from their answers", async () => {
    const { upstream, broker } = await setup();
    await broker.call({ claims: { sub: "bob" } });
    const [bobs] = upstream.streams.values();
    const flood = Buffer.from(event({ jsonrpc: "2.0", method: "notifications/x" }).repeat(2000));
    const more = () => void (bobs?.destroyed === false && bobs.write(flood, more));
    more();
    expect((await broker.call()).status).toBe(200);
    bobs?.destroy();
  });
});
