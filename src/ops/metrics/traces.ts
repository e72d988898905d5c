// Metrics of traces, of serve and of the broker alike. No I/O; labels come from closed sets only.
import { Counter, type Registry } from "prom-client";

/** Totals since the start, as the tracer and the exporter count them. */
export interface TraceTotals {
  readonly traces: Readonly<Record<"sampled" | "limited", number>>;
  readonly spans: Readonly<Record<"exported" | "dropped" | "failed", number>>;
}

export const NO_TRACES: TraceTotals = {
  traces: { sampled: 0, limited: 0 },
  spans: { exported: 0, dropped: 0, failed: 0 },
};

export interface TraceMetrics {
  /** Takes the totals at a scrape. */
  traces(totals: TraceTotals): void;
}

export function createTraceMetrics(registers: Registry[]): TraceMetrics {
  const traces = new Counter({
    name: "mcp_authz_traces_total",
    help: "Requests that were recorded, and those that were not because of traces.perSecond",
    labelNames: ["result"],
    registers,
  });
  const spans = new Counter({
    name: "mcp_authz_trace_spans_total",
    help: "Spans that the collector took, that had no room in the queue, and that could not be exported",
    labelNames: ["result"],
    registers,
  });
  const set = (counter: Counter<"result">, totals: Readonly<Record<string, number>>) => {
    counter.reset();
    for (const [result, total] of Object.entries(totals)) counter.inc({ result }, total);
  };
  const setAll = (totals: TraceTotals) => {
    set(traces, totals.traces);
    set(spans, totals.spans);
  };
  setAll(NO_TRACES);
  return { traces: setAll };
}
