// The form isError at the broker: whatever it refuses of a tools/call, before the call or in the middle of its stream.
import { describe, expect, it, vi } from "vitest";
import { startTestBroker, type BrokerLimits, type TestServer } from "../../test/fakes/broker.ts";
import { ask, legacyBody, type CallParts } from "../../test/fakes/broker-client.ts";
import { NOTHING, tool } from "../../test/fakes/listing.ts";
import { event, json, result, startEraServer, type OnCall } from "../../test/fakes/mcp-server.ts";
import { relayFixture } from "../../test/fakes/relay.ts";

const { closing } = relayFixture();

async function setup(
  onCall: OnCall,
  { limits = {}, server = {} }: { limits?: BrokerLimits; server?: TestServer } = {},
) {
  const upstream = await startEraServer("modern");
  upstream.onCall = onCall;
  const offered = { tools: [tool("echo")] };
  const broker = await startTestBroker(
    { s: { url: upstream.url, offered, ...server } },
    { denial: "isError", virtualServers: { v: { servers: { s: ["*"] } } }, ...limits },
  );
  closing.push(
    () => upstream.close(),
    () => broker.close(),
  );
  return { upstream, broker };
}

const refusal = (reason: string) => ({
  result: {
    content: [{ type: "text", text: expect.stringContaining(`(${reason}, request `) }],
    isError: true,
    _meta: { "mcp-authz/refusal": { reason } },
  },
});

const PLACES: readonly CallParts[] = [{}, { path: "/mcp" }, { path: "/servers/v/mcp", name: "echo" }];

describe("F82: a refusal of the broker's own", () => {
  it.each<[string, OnCall, TestServer]>([
    ["upstream_unavailable", (_, response) => response.writeHead(500).end(), {}],
    ["upstream_unavailable", (_, response) => response.destroy(), {}],
    ["upstream_timeout", () => {}, { timeoutMs: 100 }],
    [
      "answer_too_large",
      (arrival, response) =>
        json(response, 200, result(arrival, { content: [{ type: "text", text: "x".repeat(200_000) }] })),
      { maxResponseBytes: 65_536 },
    ],
  ])("%s is a tool's result for both eras", async (reason, onCall, server) => {
    const { broker } = await setup(onCall, { server });
    for (const modern of [false, true])
      for (const place of PLACES) {
        const virtual = place.path === "/servers/v/mcp";
        const named = virtual
          ? { body: callBody("s_echo", modern), headers: { ...(modern && { "mcp-name": "s_echo" }) } }
          : {};
        const { status, message } = await broker.call({ ...place, modern, ...named });
        expect([status, message]).toMatchObject([200, { id: 1, ...refusal(reason) }]);
        expect(message.result?.["resultType"]).toBe(modern ? "complete" : undefined);
      }
  });

  it("the last event of a stream that breaks is one", async () => {
    const { broker } = await setup((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(event({ jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "x" } }));
      setTimeout(() => response.destroy(), 50);
    });
    const { messages } = await broker.call();
    expect(messages.at(-1)).toMatchObject({ id: 1, ...refusal("upstream_unavailable") });
  });

  it("too many calls, and a search whose answer has no room", async () => {
    const body = legacyBody("tools/call", { name: "search_tools", arguments: { query: "echo" } });
    const limits = { maxCallsPerCaller: 1, search: true, heldBytesPerCaller: body.length + 20 };
    const { broker, upstream } = await setup(() => {}, { limits });
    const found = await ask(broker, body, { path: "/mcp", wristbands: [broker.wristband("alice", NOTHING)] });
    expect([found.status, found.message]).toMatchObject([200, { id: 1, ...refusal("rate_limited") }]);
    const { broker: other, upstream: slow } = await setup(() => {}, { limits: { maxCallsPerCaller: 1 } });
    other.leave({}, 2000);
    await vi.waitFor(() => expect(slow.of("tools/call")).toHaveLength(1));
    expect((await other.call()).message).toMatchObject({ id: 1, ...refusal("rate_limited") });
    expect(upstream.of("tools/call")).toEqual([]);
  });

  it("a prompt, a resource and a list get errors", async () => {
    const { broker } = await setup((_, response) => response.writeHead(500).end());
    for (const method of ["prompts/get", "resources/read"]) {
      const name = method === "resources/read" ? "docs://a" : "echo";
      const { message } = await broker.call({ method, name });
      expect(message).toMatchObject({ error: { data: { reason: "upstream_unavailable" } } });
    }
  });

  it("what comes without the gateway's proof stays 403", async () => {
    const { broker } = await setup(() => {});
    for (const headers of [{ "x-authorized-tools": undefined }, { "x-mcp-server": "t" }]) {
      const { status, message } = await broker.call({ headers });
      expect([status, message]).toMatchObject([403, { error: { data: { reason: "wristband_invalid" } } }]);
    }
  });
});

const callBody = (name: string, modern: boolean) =>
  JSON.stringify({
    ...{ jsonrpc: "2.0", id: 1, method: "tools/call" },
    params: {
      name,
      ...(modern && {
        _meta: {
          "io.modelcontextprotocol/protocolVersion": "2026-07-28",
          "io.modelcontextprotocol/clientCapabilities": {},
        },
      }),
    },
  });
