// The spans of Checks: which ones are recorded, how they nest and end, and what their trace is told to.
import { describe, expect, it } from "vitest";
import { allowingPorts, checkSettings, THERE } from "../../test/fakes/authz.ts";
import { checkMessage, codecs, FULL_PROTO } from "../../test/fakes/check-request.ts";
import { someInFlight } from "../../test/fakes/handover.ts";
import type { AuditRecord } from "../authz/audit-record.ts";
import { createCheck } from "../authz/check.ts";
import type { Ports } from "../authz/ports.ts";
import { pass, refuse } from "../authz/step.ts";
import type { CallWristbandUse, WristbandUse } from "../authz/types.ts";
import { timedPorts } from "../app/serve/timed-ports.ts";
import { Secret } from "../secret/secret.ts";
import type { EndedSpan } from "../telemetry/span.ts";
import { createTracer, type TracerOptions } from "../telemetry/tracer.ts";
import { CHECK_CODEC } from "./check-codec.ts";
import { createCheckHandler } from "./check-handler.ts";

const { request, response } = codecs(FULL_PROTO);
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT = `00-${TRACE}-00f067aa0ba902b7-01`;
const CHECK = "envoy.service.auth.v3.Authorization/Check";
const call = (name: string) =>
  JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: { name, arguments: { q: "argument-c4n4ry" } },
  });

interface Asked {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly sample?: Partial<TracerOptions> | null;
  readonly ports?: Partial<Ports>;
  readonly routing?: "broker" | "direct";
}

/** One Check, with all that comes of it. */
async function check({ headers = {}, body = call("read"), sample = {}, ports = {}, routing = "broker" }: Asked = {}) {
  const spans: EndedSpan[] = [];
  const records: AuditRecord[] = [];
  const uses: WristbandUse[] = [];
  const options = {
    sample: 1,
    parent: "ignore" as const,
    perSecond: 1000,
    onEnd: (span: EndedSpan) => spans.push(span),
  };
  const tracer = sample === null ? null : createTracer({ ...options, ...sample });
  const signWristband: Ports["signWristband"] = (_identity, _visible, use) => {
    uses.push(use);
    return pass({ jws: "wrist.band.jws", jti: "j1", leftOut: [] });
  };
  const timed = timedPorts({ observeStep: () => {} }, allowingPorts({ signWristband, ...ports }));
  const handler = createCheckHandler({
    check: createCheck(checkSettings({ routing: { s: routing, t: routing } }), timed),
    codec: CHECK_CODEC,
    answers: { publicOrigin: "https://gw.example.com", scopes: [], denial: "jsonrpc" },
    audit: (record) => (records.push(record), Promise.resolve(true)),
    observe: () => {},
    now: Date.now,
    newRequestId: () => "req-1",
    inFlight: someInFlight(),
    beginSpan: tracer?.begin,
  });
  const message = checkMessage({ body, headers: { authorization: "Bearer token", ...headers } });
  const bytes = await handler(request.encode(message), { deadlineMs: 5000, onGone: () => {} });
  const { ok_response: ok } = response.decode(bytes) as {
    ok_response?: { headers: { header: { key: string; value: string; raw_value?: Buffer } }[] };
  };
  const set = Object.fromEntries((ok?.headers ?? []).map(({ header }) => [header.key, header.value]));
  const root = spans.find(({ name }) => name === CHECK);
  const [record] = records;
  const [use] = uses;
  return { spans, root, record, use: use as CallWristbandUse | undefined, set };
}

describe("a recorded Check", () => {
  it("has a span for each step and one of all, and its trace is the audit line's and the wristband's", async () => {
    const { spans, root, record, use } = await check({ headers: { traceparent: CLIENT } });
    expect(spans.map(({ name }) => name)).toEqual(["identify", "decide", "credential", "wristband", "audit", CHECK]);
    expect(root).toMatchObject({ kind: "server", traceId: TRACE, parentSpanId: "00f067aa0ba902b7", isError: false });
    for (const span of spans) if (span !== root) expect(span.parentSpanId).toBe(root?.spanId);
    expect(Object.fromEntries(root!.attributes)).toEqual({
      "rpc.system.name": "grpc",
      "rpc.method": CHECK,
      "mcp_authz.request_id": "req-1",
      "mcp_authz.decision": "allow",
      "mcp_authz.server": "s",
      "mcp_authz.credential": "static",
      "mcp_authz.policy": "r1",
      "mcp.method.name": "tools/call",
      "mcp.protocol.version": expect.any(String) as string,
      "gen_ai.tool.name": "read",
    });
    expect(record).toMatchObject({ trace_id: TRACE, request_id: "req-1" });
    expect(use?.trace).toBe(`00-${TRACE}-${root?.spanId}-01`);
  });

  it("begins a trace where the client has none, also of a malformed header", async () => {
    for (const headers of [{}, { traceparent: `${CLIENT}x` }, { traceparent: "f".repeat(9000) }]) {
      const { root, record } = await check({ headers });
      expect(root?.parentSpanId).toBeNull();
      expect(record?.trace_id).toBe(root?.traceId);
    }
  });

  it("tells a direct server of its span, in place of the client's", async () => {
    const { set, root } = await check({ headers: { traceparent: CLIENT, tracestate: "a=b" }, routing: "direct" });
    expect(set["traceparent"]).toBe(`00-${TRACE}-${root?.spanId}-01`);
    expect(set).not.toHaveProperty("tracestate"); // it passes as it came
  });

  it("a refusal is no error, and has its reason at the Check and at its step", async () => {
    const { root, spans } = await check({ ports: { identify: () => refuse("token_invalid") } });
    expect([root?.isError, root?.attributes.get("mcp_authz.reason")]).toEqual([false, "token_invalid"]);
    expect(spans.find(({ name }) => name === "identify")?.attributes.get("mcp_authz.reason")).toBe("token_invalid");
  });

  it.each([
    ["refused by a fault", () => refuse("credential_unavailable"), "credential_unavailable"],
    ["that ends in a bug", () => Promise.reject(new Error("c4n4ry")), "internal"],
  ])("%s is an error", async (_, fetchCredential, reason) => {
    const { root, spans } = await check({ ports: { fetchCredential } });
    expect([root?.isError, root?.attributes.get("error.type")]).toEqual([true, reason]);
    expect(JSON.stringify(spans.map((span) => [...span.attributes]))).not.toContain("c4n4ry");
  });

  it("P6: notes no argument, no credential and no claim", async () => {
    const fetchCredential = () =>
      pass({
        kind: "static" as const,
        header: "authorization",
        value: new Secret("Bearer pat-c4n4ry"),
        destination: THERE,
      });
    const { spans } = await check({ ports: { fetchCredential } });
    const text = JSON.stringify(spans.map((span) => ({ ...span, attributes: [...span.attributes] })));
    expect(text).not.toMatch(/c4n4ry|alice|Bearer|wrist\.band/);
  });
});

describe("P6: what a client can write", () => {
  const rpc = (method: string, params: object = {}) => JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });

  it.each([
    ["a method", { body: rpc("secret-c4n4ry") }],
    ["a notification", { body: JSON.stringify({ jsonrpc: "2.0", method: "notifications/c4n4ry" }) }],
    ["a revision", { headers: { "mcp-protocol-version": "c4n4ry" } }],
    ["a revision in its params", { body: rpc("initialize", { protocolVersion: "c4n4ry" }) }],
    ["a URI", { body: rpc("resources/read", { uri: "file:///c4n4ry" }) }],
    ["a token", { headers: { authorization: "Bearer c4n4ry" } }],
    ["an argument", { body: call("read") }],
    ["a trace's state, and baggage", { headers: { traceparent: CLIENT, tracestate: "a=c4n4ry", baggage: "a=c4n4ry" } }],
    [
      "an id, a session, a user agent",
      { headers: { "x-request-id": "c4n4ry", "mcp-session-id": "c4n4ry", "user-agent": "c4n4ry" } },
    ],
  ])("%s is in no span", async (_, asked) => {
    const { spans, root } = await check(asked);
    expect(root?.attributes.size).toBeGreaterThan(3);
    expect(JSON.stringify(spans.map((span) => ({ ...span, attributes: [...span.attributes] })))).not.toContain(
      "c4n4ry",
    );
  });
});

describe("a Check that is not recorded", () => {
  it.each([
    ["off", null],
    ["not sampled", { sample: 0 }],
    ["over the limit", { perSecond: 0 }],
    ["not sampled by who follows", { parent: "follow" as const, sample: 0 }],
  ])("%s: no span, no claim, no header, whatever the client says", async (what, sample) => {
    const flags = what.endsWith("follows") ? "00" : "01";
    const headers = { traceparent: CLIENT.replace(/01$/, flags) };
    for (const routing of ["broker", "direct"] as const) {
      const { spans, set, use, record } = await check({ sample, headers, routing });
      expect([spans, use?.trace, set["traceparent"]]).toEqual([[], undefined, undefined]);
      expect(record?.trace_id).toBe(TRACE);
    }
  });
});
