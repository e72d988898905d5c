// Which relayed calls are recorded, what their spans say, and what the server is told of them.
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { startTestBroker, type TestBroker } from "../../../test/fakes/broker.ts";
import { startEraServer, type EraServer } from "../../../test/fakes/mcp-server.ts";
import type { EndedSpan } from "../../telemetry/span.ts";
import { createTracer } from "../../telemetry/tracer.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const CHECK = `00-${TRACE}-00f067aa0ba902b7-01`;
const CLIENT = `00-${"c".repeat(32)}-b7ad6b7169203331-01`;
const ended: EndedSpan[] = [];
const named = (name: string) => ended.filter((span) => span.name === name);
let upstream: EraServer;
let broker: TestBroker;

beforeAll(async () => {
  upstream = await startEraServer("modern");
  const tracer = createTracer({ sample: 0, parent: "ignore", perSecond: 1, onEnd: (span) => ended.push(span) });
  broker = await startTestBroker({ s: { url: upstream.url, timeoutMs: 2000 } }, { resumeSpan: tracer.resume });
});
afterAll(async () => {
  await broker.close();
  await upstream.close();
});
beforeEach(() => void ended.splice(0));

const arrived = () => upstream.of("tools/call").at(-1)?.headers;

describe("a call without the claim is not recorded, and its headers stay as they are", () => {
  it.each<[string, Readonly<Record<string, string | readonly string[]>>]>([
    ["with no trace", {}],
    ["with a client who says that hers is recorded", { traceparent: CLIENT, tracestate: "a=b" }],
    ["with a malformed one", { traceparent: `${CLIENT}x` }],
    ["with two", { traceparent: [CLIENT, CLIENT] }],
    ["with a huge one", { traceparent: "0".repeat(20_000) }],
    ["with what could be a claim, in a header", { trace: CHECK, "x-trace": CHECK }],
  ])("%s", async (_, headers) => {
    for (let i = 0; i < 5; i += 1) expect((await broker.call({ headers })).status).toBe(200);
    expect(ended).toEqual([]);
    expect(arrived()?.["traceparent"]).toBe(headers["traceparent"] === CLIENT ? CLIENT : undefined);
  });
});

describe("a call with the claim", () => {
  it("is the Check's child, and its request the call's, which the server goes on with", async () => {
    const headers = { traceparent: CLIENT, tracestate: "a=b", baggage: "user=alice" };
    expect((await broker.call({ headers, claims: { trace: CHECK }, name: "echo" })).status).toBe(200);
    await vi.waitFor(() => expect(named("POST s").length).toBeGreaterThan(0));
    const [call] = named("tools/call echo");
    expect(call).toMatchObject({ traceId: TRACE, parentSpanId: "00f067aa0ba902b7", hasRemoteParent: true });
    expect(Object.fromEntries(call!.attributes)).toEqual({
      "mcp.method.name": "tools/call",
      "mcp.protocol.version": "2025-03-26",
      "gen_ai.tool.name": "echo",
      "mcp_authz.server": "s",
      "mcp_authz.request_id": expect.any(String) as string,
      "mcp_authz.outcome": "answered",
    });
    const post = named("POST s").at(-1);
    expect(post).toMatchObject({ kind: "client", traceId: TRACE, parentSpanId: call!.spanId, isError: false });
    expect(Object.fromEntries(post!.attributes)).toEqual({
      "http.request.method": "POST",
      "http.response.status_code": 200,
      "server.address": "127.0.0.1",
      "server.port": Number(new URL(upstream.url).port),
    });
    expect(arrived()).toMatchObject({ traceparent: `00-${TRACE}-${post!.spanId}-01`, tracestate: "a=b" });
    expect(arrived()).not.toHaveProperty("baggage");
  });

  it("CF-24: gets a trace where the client sent none, without a state", async () => {
    await broker.call({ headers: { tracestate: "a=b" }, claims: { trace: CHECK } });
    expect(arrived()?.["traceparent"]).toMatch(new RegExp(`^00-${TRACE}-`));
    expect(arrived()).not.toHaveProperty("tracestate");
  });

  it("notes no URI of a resource, which is an argument", async () => {
    const uri = "file:///alice/c4n4ry";
    await broker.call({ method: "resources/read", name: uri, claims: { trace: CHECK } });
    await vi.waitFor(() => expect(named("resources/read")).toHaveLength(1));
    expect(JSON.stringify(ended.map((span) => ({ ...span, attributes: [...span.attributes] })))).not.toContain(
      "c4n4ry",
    );
  });

  it("that nobody answers in time is an error, and so is its request", async () => {
    upstream.onAny = ({ body }) => body.includes("tools/call"); // no answer
    await broker.call({ claims: { trace: CHECK } });
    upstream.onAny = () => false;
    await vi.waitFor(() => expect(named("POST s").some(({ isError }) => isError)).toBe(true));
    const [call] = named("tools/call echo");
    expect([call?.isError, call?.attributes.get("error.type")]).toEqual([true, "upstream_timeout"]);
  });

  it.each(["x", CLIENT.toUpperCase(), `${CHECK}-more`, CHECK.replace(/01$/, "00"), 7])(
    "of another form is no wristband: %s",
    async (trace) => {
      expect((await broker.call({ claims: { trace } })).status).toBe(403);
      expect(ended).toEqual([]);
    },
  );
});
