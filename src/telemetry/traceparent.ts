// Reads and writes `traceparent` (https://www.w3.org/TR/trace-context/#traceparent-header). Pure.

/** version-traceid-parentid-flags, lower case; later versions may say more after that. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = 1;

/** The place of a span in its trace, from outside of this process. */
export interface TraceContext {
  /** 32 hex digits, lower case. */
  readonly traceId: string;
  /** Of the parent: 16 hex digits, lower case. */
  readonly spanId: string;
  /** True if whoever sent it says that it records its spans. */
  readonly isSampled: boolean;
}

/** A `traceparent` header (W3C Trace Context §3.2), or null for any that is not well-formed. */
export function parseTraceparent(header: string | undefined): TraceContext | null {
  const match = TRACEPARENT.exec(header ?? "");
  if (match === null) return null;
  const [, version, traceId = "", spanId = "", flags = "", more] = match;
  if (version === "ff" || (version === "00" && more !== undefined)) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

/** The trace of a `traceparent` header, or null for any that is not well-formed. */
export function traceId(header: string | undefined): string | null {
  return header === undefined ? null : (parseTraceparent(header)?.traceId ?? null);
}

/** The header of a span that is recorded. */
export function traceparentOf({ traceId: trace, spanId }: Pick<TraceContext, "traceId" | "spanId">): string {
  return `00-${trace}-${spanId}-01`;
}
