// Composes the traces of a process from the configuration: its tracer, and the exporter behind the one guard of outgoing
// requests. I/O through the exporter.
import { backoffMs, type Backoff } from "../async/backoff.ts";
import type { Config } from "../config/load.ts";
import { readCaFile } from "../files/ca.ts";
import { VERSION } from "../files/version.ts";
import { createHttpClient, faultOf, type HttpAnswer, type HttpClient } from "../http/client.ts";
import { retryAfterMs } from "../http/retry-after.ts";
import { partsOf } from "../http/url.ts";
import { isObject } from "../json/object.ts";
import { readJson } from "../json/strict-reader.ts";
import type { Log } from "../ops/log.ts";
import { NO_TRACES, type TraceTotals } from "../ops/metrics/traces.ts";
import { createExporter, type SendResult } from "../telemetry/exporter.ts";
import { encodeSpans, type Resource } from "../telemetry/otlp.ts";
import { outsideSpans, type EndedSpan } from "../telemetry/span.ts";
import { createTracer, type Tracer } from "../telemetry/tracer.ts";

/** The traces of a process. Without `traces` in the configuration nothing begins a span. */
export interface Traces {
  readonly begin?: Tracer["begin"];
  readonly resume?: Tracer["resume"];
  /** Totals since the start, for the metrics. */
  counts(): TraceTotals;
  /** Sends what is there, within {@link FLUSH_MS}. */
  close(): Promise<void>;
}

/** `service.name` of a process's spans, and its log. */
export interface TracedProcess {
  readonly service: "mcp-authz-serve" | "mcp-authz-broker";
  readonly log: Pick<Log, "warn" | "info">;
}

type TracesConfig = NonNullable<Config["traces"]>;

/** A trace has about ten spans, and a span takes about 1 KiB here. */
const MAX_QUEUED = 4096;
const MAX_BATCH = 512;
const INTERVAL_MS = 2000;
const RETRY: Backoff = { firstMs: INTERVAL_MS, maxMs: 60_000, jitter: 0.1 };
export const FLUSH_MS = 2000;
const MAX_RESPONSE_BYTES = 64 * 1024;
/** OTLP 1 §Failures: these may be sent once more. */
const AGAIN: ReadonlySet<number> = new Set([429, 502, 503, 504]);

const OFF: Traces = { counts: () => NO_TRACES, close: () => Promise.resolve() };

/** @throws {Error} that names the key at fault */
export function createTraces({ traces }: Pick<Config, "traces">, { service, log }: TracedProcess): Traces {
  if (traces === null) return OFF;
  const { origin, path } = partsOf(traces.endpoint);
  const http = createHttpClient({ origin, ca: readCaFile("traces.caFile", traces.caFile), maxConnections: 1 });
  const resource = { "service.name": service, "service.version": VERSION };
  const exporter = createExporter({
    send: (spans, signal) =>
      outsideSpans(() => send(http, { path, headers: headersOf(traces), resource }, { spans, signal })),
    ...{ maxQueued: MAX_QUEUED, maxBatch: MAX_BATCH, intervalMs: INTERVAL_MS, timeoutMs: traces.timeoutMs },
    pauseMs: (failures) => backoffMs(RETRY, failures, Math.random()),
    onFault: (fault) => report(log, fault),
    monotonic: () => performance.now(),
  });
  const { sample, parent, perSecond } = traces;
  const tracer = createTracer({ sample, parent, perSecond, onEnd: (span) => exporter.add(span) });
  return {
    ...{ begin: tracer.begin, resume: tracer.resume },
    counts: () => ({ traces: tracer.counts, spans: exporter.counts }),
    async close() {
      await exporter.close(FLUSH_MS);
      http.close();
    },
  };
}

/** Once for each row of faults, and once when it has ended. */
function report(log: TracedProcess["log"], fault: string | null): void {
  if (fault === null) log.info("traces_exported", { message: "the collector takes spans again" });
  else
    log.warn("traces_not_exported", { message: "the collector does not take spans; no request waits for it", fault });
}

function headersOf({ headers }: TracesConfig): Record<string, string> {
  const own = Object.entries(headers).map(([name, value]) => [name, value.latest().reveal()] as const);
  return { ...Object.fromEntries(own), "content-type": "application/json" };
}

interface Target {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly resource: Resource;
}

async function send(
  http: HttpClient,
  { path, headers, resource }: Target,
  { spans, signal }: { readonly spans: readonly EndedSpan[]; readonly signal: AbortSignal },
): Promise<SendResult> {
  try {
    const body = encodeSpans(resource, { name: "mcp-authz", version: VERSION }, spans);
    const answer = await http.fetch({ method: "POST", path, headers, body, signal }, MAX_RESPONSE_BYTES);
    if (answer.status === 200) return { ok: true, rejected: rejectedIn(answer, spans.length) };
    const afterMs = retryAfterMs(answer.headers["retry-after"], Date.now());
    return { ok: false, again: AGAIN.has(answer.status), afterMs, fault: `status_${answer.status}` };
  } catch (error) {
    return { ok: false, again: true, afterMs: null, fault: faultOf(error).code };
  }
}

/** `partialSuccess.rejectedSpans`: a 64-bit integer, so a text in JSON. A response that says something else says nothing. */
function rejectedIn({ body }: HttpAnswer, sent: number): number {
  const json = readJson(body, { maxDepth: 8, maxMembers: 100 });
  const partial = json.ok ? memberOf(json.value, "partialSuccess") : undefined;
  const rejected = Number(memberOf(partial, "rejectedSpans") ?? 0);
  return Number.isInteger(rejected) && rejected > 0 ? Math.min(rejected, sent) : 0;
}

function memberOf(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined;
}
