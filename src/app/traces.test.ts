import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it, vi } from "vitest";
import { startOtlpReceiver, type OtlpReceiver } from "../../test/fakes/otlp-receiver.ts";
import { createHttpClient } from "../http/client.ts";
import { Secret } from "../secret/secret.ts";
import { inSpan } from "../telemetry/span.ts";
import { createTraces, FLUSH_MS, type Traces } from "./traces.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

interface Made {
  readonly receiver: OtlpReceiver;
  readonly traces: Traces;
  readonly log: string[];
}

async function setup(over: object = {}): Promise<Made> {
  const receiver = await startOtlpReceiver();
  closing.push(() => receiver.close());
  const log: string[] = [];
  const say = (event: string, fields?: object) => log.push(JSON.stringify({ event, ...fields }));
  const defaults = { sample: 1, parent: "ignore" as const, perSecond: 1000, caFile: null, timeoutMs: 1000 };
  const headers = { authorization: new Secret("Bearer of-the-collector") };
  const config = { traces: { ...defaults, endpoint: receiver.endpoint, headers, ...over } };
  const traces = createTraces(config, { service: "mcp-authz-serve", log: { warn: say, info: say } });
  return { receiver, traces, log };
}

const record = ({ begin }: Traces, name = "x") => begin?.(name, "server", undefined);

it("sends spans with the configured headers and the process's name, and ends with what is left", async () => {
  const { receiver, traces, log } = await setup();
  record(traces, "one")?.end();
  record(traces, "two")?.end();
  await traces.close();
  expect(receiver.spans.map(({ service, name }) => [service, name])).toEqual([
    ["mcp-authz-serve", "one"],
    ["mcp-authz-serve", "two"],
  ]);
  expect(receiver.requests[0]?.headers).toMatchObject({ authorization: "Bearer of-the-collector" });
  expect([traces.counts(), log]).toEqual([
    { traces: { sampled: 2, limited: 0 }, spans: { exported: 2, dropped: 0, failed: 0 } },
    [],
  ]);
});

it("does nothing without `traces`, and without a wait", async () => {
  const traces = createTraces({ traces: null }, { service: "mcp-authz-broker", log: { warn() {}, info() {} } });
  expect([traces.begin, traces.resume, traces.counts().traces.sampled]).toEqual([undefined, undefined, 0]);
  await traces.close();
});

it("the export belongs to no request, though a request has filled the batch", async () => {
  const { receiver, traces } = await setup();
  const span = record(traces)!;
  inSpan(span, () => {
    for (let i = 0; i < 600; i += 1) record(traces)?.end();
  });
  await vi.waitFor(() => expect(receiver.requests.length).toBeGreaterThan(0));
  expect(receiver.requests[0]?.headers).not.toHaveProperty("traceparent");
  span.end();
  await traces.close();
  expect(receiver.spans.map(({ kind }) => kind)).not.toContain(3);
});

it("tells of a collector that refuses once, without what it said", async () => {
  const { receiver, traces, log } = await setup();
  receiver.onRequest = (response) => response.writeHead(401).end("c4n4ry");
  record(traces)?.end();
  await traces.close();
  expect(log).toEqual([expect.stringContaining('"fault":"status_401"')]);
  expect(log.join()).not.toMatch(/c4n4ry|of-the-collector/);
  expect(traces.counts().spans).toEqual({ exported: 0, dropped: 0, failed: 1 });
});

it.each([
  ['{"partialSuccess":{"rejectedSpans":"1","errorMessage":"x"}}', { exported: 1, failed: 1 }],
  ['{"partialSuccess":{"rejectedSpans":"99"}}', { exported: 0, failed: 2 }],
  ['{"partialSuccess":{"rejectedSpans":"-1"}}', { exported: 2, failed: 0 }],
  ['{"partialSuccess":', { exported: 2, failed: 0 }],
  ["", { exported: 2, failed: 0 }],
])("reads what was not taken: %s", async (body, expected) => {
  const { receiver, traces } = await setup();
  receiver.onRequest = (response) => response.writeHead(200).end(body);
  record(traces)?.end();
  record(traces)?.end();
  await traces.close();
  expect(traces.counts().spans).toEqual({ dropped: 0, ...expected });
});

it.each([
  ["is silent", (endpoint: string) => endpoint, 1],
  ["is not there", () => "http://127.0.0.1:1/v1/traces", 1],
  ["is at a metadata address", () => "http://169.254.169.254/v1/traces", 0],
])("ends in bounded time where the collector %s", async (_, at, requests) => {
  const { receiver, traces, log } = await setup();
  receiver.onRequest = () => {};
  await traces.close();
  const other = await setup({ endpoint: at(receiver.endpoint) });
  record(other.traces)?.end();
  const started = performance.now();
  await other.traces.close();
  expect(performance.now() - started).toBeLessThan(FLUSH_MS + 10_000);
  const { dropped, failed, exported } = other.traces.counts().spans;
  expect([dropped + failed, exported, other.log.length]).toEqual([1, 0, 1]);
  expect(log).toEqual([]);
  expect(receiver.requests.length).toBeLessThanOrEqual(requests);
});

it("a request of sampled work has a span without its path or headers, and tells it to the other side", async () => {
  const seen: (string | undefined)[] = [];
  const server = createServer(({ headers }, response) => {
    seen.push(String(headers["traceparent"]));
    response.writeHead(403).end("no");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(async () => void (await once(server.close(), "close")));
  const { port } = server.address() as AddressInfo;
  const { receiver, traces } = await setup();
  const http = createHttpClient({ origin: `http://127.0.0.1:${port}`, ca: null, name: "vault" });
  const request = {
    method: "GET",
    path: "/v1/secret/data/alice",
    headers: { traceparent: "of-the-client" },
    body: null,
  };
  const fetch = () => http.fetch({ ...request, signal: AbortSignal.timeout(5000) }, 100);
  const span = record(traces)!;
  await inSpan(span, fetch);
  await fetch();
  span.end();
  http.close();
  await traces.close();
  const sent = receiver.spans.find(({ name }) => name === "GET vault");
  expect(sent).toMatchObject({ kind: 3, isError: true, parentSpanId: span.spanId });
  expect(sent?.attributes).toEqual({
    "http.request.method": "GET",
    "http.response.status_code": 403,
    "server.address": "127.0.0.1",
    "server.port": port,
    "error.type": "403",
  });
  expect(seen).toEqual([`00-${span.traceId}-${sent?.spanId}-01`, "of-the-client"]);
  expect(receiver.requests.map(({ body }) => body).join()).not.toContain("alice");
});
