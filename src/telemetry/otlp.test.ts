import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import { expect, it } from "vitest";
import { encodeSpans } from "./otlp.ts";
import type { EndedSpan, SpanKind } from "./span.ts";

type ReadableSpan = Parameters<typeof JsonTraceSerializer.serializeRequest>[0][number];

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const KINDS: Readonly<Record<SpanKind, number>> = { internal: 0, server: 1, client: 2 };
const resource = { "service.name": "mcp-authz-serve", "service.version": "1.2.3" };
const RESOURCE = { attributes: resource }; // it groups by the object
const scope = { name: "mcp-authz", version: "1.2.3" };

function span(over: Partial<EndedSpan> = {}): EndedSpan {
  return {
    ...{ traceId: TRACE, spanId: "00f067aa0ba902b7", parentSpanId: "b7ad6b7169203331", hasRemoteParent: false },
    ...{ name: "identify", kind: "internal", startedAt: 1_790_000_000_123.25, endedAt: 1_790_000_000_124.5 },
    attributes: new Map<never, never>(),
    isError: false,
    ...over,
  };
}

/** The same span as the official serializer takes it. */
function official(of: EndedSpan): ReadableSpan {
  const context = (spanId: string, isRemote: boolean) => ({ traceId: of.traceId, spanId, traceFlags: 1, isRemote });
  const time = (ms: number): [number, number] => [Math.floor(ms / 1000), Math.round((ms % 1000) * 1e6)];
  const made = {
    ...{ name: of.name, kind: KINDS[of.kind], startTime: time(of.startedAt), endTime: time(of.endedAt) },
    spanContext: () => context(of.spanId, false),
    ...(of.parentSpanId !== null && { parentSpanContext: context(of.parentSpanId, of.hasRemoteParent) }),
    ...{ status: { code: of.isError ? 2 : 0 }, attributes: Object.fromEntries(of.attributes) },
    ...{ links: [], events: [], duration: [0, 0], ended: true, resource: RESOURCE },
    ...{ instrumentationScope: scope, droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0 },
  };
  return made as unknown as ReadableSpan;
}

/** Without what the official one writes though it is empty: in proto3, an absent field has that value. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== "object" || value === null) return value;
  const isEmpty = (each: unknown) => each === 0 || (Array.isArray(each) && each.length === 0);
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, each]) => (isEmpty(each) ? [] : [[name, withoutEmpty(each)]])),
  );
}

it.each([
  ["a step", span()],
  ["the first of a trace", span({ parentSpanId: null, kind: "server" })],
  ["one whose parent is elsewhere", span({ hasRemoteParent: true, kind: "server" })],
  ["a request that failed", span({ kind: "client", isError: true, name: "GET vault" })],
  [
    "attributes",
    span({
      attributes: new Map<never, never>([
        ["gen_ai.tool.name" as never, 'quote " \u0000 \ud800 é' as never],
        ["http.response.status_code" as never, 503 as never],
      ]),
    }),
  ],
  ["a time just before the next second", span({ startedAt: 1_790_000_000_999.75 })],
])("writes what the official serializer writes: %s", (_, of) => {
  const own = JSON.parse(encodeSpans(resource, scope, [of, span()]).toString()) as unknown;
  const theirs = JsonTraceSerializer.serializeRequest([official(of), official(span())]);
  expect(withoutEmpty(own)).toEqual(withoutEmpty(JSON.parse(new TextDecoder().decode(theirs))));
});
