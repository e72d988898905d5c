// Writes spans as OTLP in JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding; decision record 027). Pure.
import type { AttributeValue } from "./attributes.ts";
import type { EndedSpan, SpanKind } from "./span.ts";

/** The process that the spans are of (`service.name`, `service.version`, `service.instance.id`). */
export type Resource = Readonly<Record<string, string>>;

const KINDS: Readonly<Record<SpanKind, number>> = { internal: 1, server: 2, client: 3 };
const STATUS_UNSET = 0;
const STATUS_ERROR = 2;
const NANOSECONDS = 1_000_000;
/** `trace_flags` of a span: sampled, and whether the parent is of another process is known (opentelemetry.proto.trace.v1). */
const FLAGS = 0x101;
const REMOTE_FLAG = 0x200;

/** The body of one export request. */
export function encodeSpans(resource: Resource, scope: { name: string; version: string }, spans: readonly EndedSpan[]) {
  const scopeSpans = [{ scope, spans: spans.map(spanOf) }];
  const resourceSpans = [{ resource: { attributes: attributesOf(Object.entries(resource)) }, scopeSpans }];
  return Buffer.from(JSON.stringify({ resourceSpans }));
}

function spanOf(span: EndedSpan) {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    ...(span.parentSpanId !== null && { parentSpanId: span.parentSpanId }),
    name: span.name,
    kind: KINDS[span.kind],
    startTimeUnixNano: nanoseconds(span.startedAt),
    endTimeUnixNano: nanoseconds(span.endedAt),
    attributes: attributesOf(span.attributes),
    status: { code: span.isError ? STATUS_ERROR : STATUS_UNSET },
    flags: span.hasRemoteParent ? FLAGS | REMOTE_FLAG : FLAGS,
  };
}

/** A 64-bit integer is a decimal text in JSON. */
function nanoseconds(milliseconds: number): string {
  const whole = Math.floor(milliseconds);
  return String(BigInt(whole) * BigInt(NANOSECONDS) + BigInt(Math.round((milliseconds - whole) * NANOSECONDS)));
}

function attributesOf(entries: Iterable<readonly [string, AttributeValue]>) {
  return Array.from(entries, ([key, value]) => ({
    key,
    value: typeof value === "string" ? { stringValue: value } : { intValue: value },
  }));
}
