// Decides which requests are sampled, and begins their spans. Pure but for clocks and randomness, which can be passed in.
import { randomBytes } from "node:crypto";
import { Span, type EndedSpan, type SpanKind } from "./span.ts";
import { parseTraceparent, type TraceContext } from "./traceparent.ts";

export interface TracerOptions {
  /** Share of requests that are sampled, 0 to 1. */
  readonly sample: number;
  /** `ignore`: this process alone decides. `follow`: the sampled flag of a well-formed `traceparent` decides. */
  readonly parent: "ignore" | "follow";
  /** Traces that begin in one second, at most: also where a client decides. */
  readonly perSecond: number;
  readonly onEnd: (span: EndedSpan) => void;
  /** From 0 to less than 1. */
  readonly random?: () => number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic?: () => number;
}

export interface Tracer {
  /**
   * Begins the first span of a request in this process; null for one that is not sampled. It joins the trace of a well-formed
   * `traceparent`; else a trace begins.
   */
  begin(name: string, kind: SpanKind, traceparent: string | undefined): Span | null;
  /** Goes on with a request that another process of ours has sampled; null for a text that is no context. */
  resume(name: string, kind: SpanKind, traceparent: string): Span | null;
  /** Requests that were sampled, and those that were not because of `perSecond`. */
  readonly counts: { readonly sampled: number; readonly limited: number };
}

export function createTracer(options: TracerOptions): Tracer {
  const { sample, parent, random = Math.random, now = Date.now, monotonic = () => performance.now() } = options;
  const counts = { sampled: 0, limited: 0 };
  const hasRoom = createLimit(options.perSecond, monotonic);
  const start = (name: string, kind: SpanKind, context: TraceContext | null): Span => {
    const shared = { onEnd: options.onEnd, monotonic, offset: now() - monotonic() };
    const hasRemoteParent = context !== null;
    const traceId = context?.traceId ?? randomBytes(16).toString("hex");
    return new Span(shared, { traceId, parentSpanId: context?.spanId ?? null, hasRemoteParent, name, kind });
  };
  return {
    counts,
    begin(name, kind, traceparent) {
      if (parent === "ignore" && random() >= sample) return null;
      const context = parseTraceparent(traceparent);
      if (parent === "follow" && !(context?.isSampled ?? random() < sample)) return null;
      if (!hasRoom()) {
        counts.limited += 1;
        return null;
      }
      counts.sampled += 1;
      return start(name, kind, context);
    },
    resume(name, kind, traceparent) {
      const context = parseTraceparent(traceparent);
      if (context === null) return null;
      counts.sampled += 1;
      return start(name, kind, context);
    },
  };
}

/** True for the first so many of each second. */
function createLimit(perSecond: number, monotonic: () => number): () => boolean {
  let second = Number.NaN;
  let begun = 0;
  return () => {
    const current = Math.floor(monotonic() / 1000);
    if (current !== second) [second, begun] = [current, 0];
    begun += 1;
    return begun <= perSecond;
  };
}
