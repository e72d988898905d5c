// Streams on which servers tell that their lists have changed: all transports, streams that end, servers that misbehave.
import type { ServerResponse } from "node:http";
import { afterEach, describe, expect, it, vi } from "vitest";
import { event, json, result, startFakeServer, type FakeServer, type Respond } from "../../../test/fakes/mcp-server.ts";
import { startSseServer } from "../../../test/fakes/sse-server.ts";
import { Secret } from "../../secret/secret.ts";
import { createUpstreams } from "../upstream/upstream.ts";
import { createUpstreamListener, declaredChanges } from "./upstream-listener.ts";

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** Listens for changes of tools; gives what was heard. */
function listenAt(upstream: FakeServer, kinds: readonly ("tools" | "prompts" | "resources")[] = ["tools"]) {
  const settings = { url: upstream.url, ca: null, timeoutMs: 2000, maxResponseBytes: 1 << 20 };
  const none = { sessions: "client" as const, credentialHeaders: new Set<string>(), needsCredential: false };
  const upstreams = createUpstreams(new Map([["s", { ...settings, ...none }]]));
  const heard: string[] = [];
  const listener = createUpstreamListener({
    upstream: upstreams.get("s")!.listening,
    credential: { header: "authorization", value: new Secret("Bearer discovery") },
    timeoutMs: 2000,
    onChanged: (changed) => heard.push(changed.join()),
    backoff: { firstMs: 20, maxMs: 50, jitter: 0 },
  });
  listener.declare(kinds);
  closing.push(
    () => upstream.close(),
    () => upstreams.close(),
    () => listener.close(),
  );
  return { heard, listener };
}

const changed = (kind: string) => event({ jsonrpc: "2.0", method: `notifications/${kind}/list_changed` });
const head = { "content-type": "text/event-stream" };

/** A server of an older revision with a session, whose GET a test answers. */
function older(onStream: (response: ServerResponse, count: number) => void): Respond {
  let count = 0;
  return (arrival, response) => {
    const { http, method } = arrival;
    if (http === "GET") return onStream(response, (count += 1));
    if (http === "DELETE" || method.startsWith("notifications/")) return void response.writeHead(202).end();
    if (method === "server/discover") return void response.writeHead(404).end();
    if (method !== "initialize") return void response.writeHead(202).end();
    response.setHeader("mcp-session-id", "session-1");
    return json(response, 200, result(arrival, { protocolVersion: "2025-11-25", capabilities: {}, serverInfo: {} }));
  };
}

describe("TB-08: a server tells that its lists have changed", () => {
  it("on the stream of subscriptions/listen, for the lists that it declares", async () => {
    const upstream = await startFakeServer((arrival, response) => {
      if (arrival.method === "server/discover") return { supportedVersions: ["2026-07-28"], capabilities: {} };
      const acknowledged = { jsonrpc: "2.0", method: "notifications/subscriptions/acknowledged", params: {} };
      response.writeHead(200, head).write(event(acknowledged) + changed("tools") + changed("prompts"));
      return undefined;
    });
    const { heard } = listenAt(upstream, ["tools", "prompts"]);
    await vi.waitFor(() => expect(heard).toEqual(["tools,prompts"]));
    const [listen] = upstream.of("subscriptions/listen");
    expect(listen?.params["notifications"]).toEqual({ toolsListChanged: true, promptsListChanged: true });
    expect(listen?.headers).toMatchObject({ authorization: "Bearer discovery", "mcp-method": "subscriptions/listen" });
  });

  it("on the stream of GET, in a session; its ping is answered, and its other requests are refused", async () => {
    const requests = [
      { id: 1, method: "ping" },
      { id: "x", method: "sampling/createMessage" },
    ];
    const upstream = await startFakeServer(
      older((response) => {
        response.writeHead(200, head).write(changed("tools"));
        for (const request of requests) response.write(event({ jsonrpc: "2.0", ...request }));
      }),
    );
    const { heard } = listenAt(upstream);
    await vi.waitFor(() => expect(upstream.requests.filter(({ body }) => /result|error/.test(body))).toHaveLength(2));
    expect(heard).toEqual(["tools"]);
    expect(upstream.of("GET")[0]?.headers).toMatchObject({
      accept: "text/event-stream",
      "mcp-session-id": "session-1",
      authorization: "Bearer discovery",
    });
  });

  it("on the stream of HTTP+SSE", async () => {
    const upstream = await startSseServer();
    const { heard } = listenAt(upstream);
    await vi.waitFor(() => expect(upstream.of("notifications/initialized")).toHaveLength(1));
    await vi.waitFor(() => {
      for (const stream of upstream.streams.values()) stream.write(changed("tools"));
      expect(heard).toContain("tools");
    });
  });

  it("and of nothing else", async () => {
    const upstream = await startFakeServer(
      older((response) => {
        const foreign = event({ jsonrpc: "2.0", method: "notifications/message", params: {} });
        response.writeHead(200, head).write(`${foreign}data: {broken\n\n${changed("other")}${changed("resources")}`);
      }),
    );
    const { heard } = listenAt(upstream);
    await vi.waitFor(() => expect(heard).toEqual(["resources"]));
  });
});

describe("a stream that ends", () => {
  it("goes on where it was, after the pause that the server asks for", async () => {
    const at: number[] = [];
    const upstream = await startFakeServer(
      older((response, count) => {
        at.push(performance.now());
        response.writeHead(200, head).write(`id: event-${count}\nretry: 600\ndata:\n\n`);
        if (count === 1) response.end();
        else response.write(changed("tools"));
      }),
    );
    const { heard } = listenAt(upstream);
    await vi.waitFor(() => expect(heard).toEqual(["tools"]), 5000);
    expect(upstream.of("GET").map(({ headers }) => headers["last-event-id"])).toEqual([undefined, "event-1"]);
    expect(upstream.of("initialize")).toHaveLength(1);
    expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(600);
  });

  it("in a session that the server has lost begins anew", async () => {
    const upstream = await startFakeServer(
      older((response, count) => {
        if (count === 2) response.writeHead(404).end();
        else response.writeHead(200, head).write(`id: ${count}\nretry: 1\n\n`);
        if (count === 1) response.end();
        if (count === 3) response.write(changed("tools"));
      }),
    );
    const { heard } = listenAt(upstream);
    await vi.waitFor(() => expect(heard).toEqual(["tools"]), 5000);
    expect(upstream.of("initialize")).toHaveLength(2);
  });

  it("at an event without end is opened anew", async () => {
    const upstream = await startFakeServer(
      older((response, count) => {
        response.writeHead(200, head);
        if (count === 1) response.write(`data: ${"a".repeat(300 * 1024)}`);
        else response.write(changed("tools"));
      }),
    );
    const { heard } = listenAt(upstream);
    await vi.waitFor(() => expect(heard).toEqual(["tools"]), 5000);
  });

  it("with the listener, at once", async () => {
    const upstream = await startFakeServer(older((response) => void response.writeHead(200, head).write(":\n\n")));
    const { listener } = listenAt(upstream);
    await vi.waitFor(() => expect(upstream.of("GET")).toHaveLength(1));
    listener.close();
    await vi.waitFor(() => expect(upstream.of("DELETE")).toHaveLength(1));
  });
});

it("a server without such a stream is not asked again soon, and one that declares nothing not at all", async () => {
  const upstream = await startFakeServer(older((response) => void response.writeHead(405).end()));
  const { listener } = listenAt(upstream, []);
  expect(upstream.requests).toEqual([]);
  listener.declare(["tools"]);
  await vi.waitFor(() => expect(upstream.of("DELETE")).toHaveLength(1));
  listener.declare(["tools"]);
  await new Promise((done) => setTimeout(done, 200)); // several pauses of the backoff
  expect(upstream.of("GET")).toHaveLength(1);
});

it("kinds are declared by listChanged alone", () => {
  const capabilities = {
    tools: { listChanged: true },
    prompts: { listChanged: "true" },
    resources: {},
    x: { listChanged: true },
  };
  expect(declaredChanges(capabilities)).toEqual(["tools"]);
});
