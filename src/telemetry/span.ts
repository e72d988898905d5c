// Spans of sampled work, and the span that the current work belongs to. A request that is not sampled has none of this. Ambient
// (AsyncLocalStorage): an outgoing request finds its parent without a parameter in each layer between.
import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";
import type { AttributeName, AttributeValue } from "./attributes.ts";
import { traceparentOf } from "./traceparent.ts";

export type SpanKind = "internal" | "server" | "client";

/** A span that has ended, as the exporter takes it. Times in milliseconds since the epoch. */
export interface EndedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Null for the first span of a trace. */
  readonly parentSpanId: string | null;
  /** True if the parent is of another process. */
  readonly hasRemoteParent: boolean;
  readonly name: string;
  readonly kind: SpanKind;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: ReadonlyMap<AttributeName, AttributeValue>;
  readonly isError: boolean;
}

/** What all spans of one trace in this process share. */
export interface SpanShared {
  readonly onEnd: (span: EndedSpan) => void;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number;
  /** What this clock showed at the epoch, as seen when the trace began here. */
  readonly offset: number;
}

/** The beginning of a span. */
export interface SpanStart {
  readonly traceId: string;
  readonly parentSpanId: string | null;
  readonly hasRemoteParent: boolean;
  readonly name: string;
  readonly kind: SpanKind;
}

/** In characters. Names of tools come from clients. */
const MAX_TEXT = 256;

/** A span under way. */
export class Span {
  readonly #shared: SpanShared;
  readonly #start: SpanStart;
  readonly #startedAt: number;
  readonly #attributes = new Map<AttributeName, AttributeValue>();
  readonly spanId = randomBytes(8).toString("hex");
  #isOver = false;

  constructor(shared: SpanShared, start: SpanStart) {
    this.#shared = shared;
    this.#start = { ...start, name: start.name.slice(0, MAX_TEXT) };
    this.#startedAt = shared.monotonic();
  }

  get traceId(): string {
    return this.#start.traceId;
  }

  /** `traceparent` of what this span causes (W3C Trace Context §3.2). */
  get traceparent(): string {
    return traceparentOf({ traceId: this.traceId, spanId: this.spanId });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Null and undefined are not noted. */
  set(name: AttributeName, value: AttributeValue | null | undefined): void {
    if (value === null || value === undefined) return;
    this.#attributes.set(name, typeof value === "string" && value.length > MAX_TEXT ? value.slice(0, MAX_TEXT) : value);
  }

  child(name: string, kind: SpanKind = "internal"): Span {
    const start = { traceId: this.traceId, parentSpanId: this.spanId, hasRemoteParent: false, name, kind };
    return new Span(this.#shared, start);
  }

  /** Ends it once; a second end is none. @param fault a word of a closed set, for what failed */
  end(fault: string | null = null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (fault !== null) this.set("error.type", fault);
    const { onEnd, monotonic, offset } = this.#shared;
    onEnd({
      ...this.#start,
      spanId: this.spanId,
      startedAt: this.#startedAt + offset,
      endedAt: monotonic() + offset,
      attributes: this.#attributes,
      isError: fault !== null,
    });
  }
}

const current = new AsyncLocalStorage<Span | undefined>();

/** The span that the current work belongs to; undefined for work that is not sampled, and once it has ended. */
export function currentSpan(): Span | undefined {
  const span = current.getStore();
  return span === undefined || span.isOver ? undefined : span;
}

/** Runs the work, and all that it begins, as a part of the span. */
export function inSpan<T>(span: Span, work: () => T): T {
  return current.run(span, work);
}

/** Runs work that belongs to no request, whoever causes it. */
export function outsideSpans<T>(work: () => T): T {
  return current.run(undefined, work);
}

/** Runs the work in a child of the span, which ends with it. @param note reads the result into attributes */
export function inChild<T>(
  parent: Span,
  name: string,
  { work, note }: { readonly work: () => T; readonly note: (span: Span, result: Awaited<T>) => void },
): T {
  const span = parent.child(name);
  const done = (result: Awaited<T>) => {
    note(span, result);
    span.end();
  };
  const failed = () => span.end("internal");
  try {
    const result = inSpan(span, work);
    if (result instanceof Promise) result.then(done, failed);
    else done(result as Awaited<T>);
    return result;
  } catch (error) {
    failed();
    throw error;
  }
}
