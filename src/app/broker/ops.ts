// The broker's operator listener: health, metrics, and the catalogue for `serve`.
import type { CatalogReader } from "../../catalog/token.ts";
import type { KeySetStatus } from "../../jose/remote-key-set.ts";
import type { IncomingMessage } from "node:http";
import { UPSTREAM_STATES, type UpstreamState } from "../../broker/catalog/listed-server.ts";
import type { Catalog } from "../../broker/catalog/snapshot.ts";
import type { UpstreamStatus } from "../../catalog/status.ts";
import type { Remarks } from "../../broker/catalog/remarks.ts";
import type { BreakerState } from "../../broker/relay/breaker.ts";
import type { HeldBytes } from "../../broker/held-bytes.ts";
import type { Config } from "../../config/load.ts";
import { METHOD_NAMES } from "../../mcp/method-table.ts";
import { createBrokerMetrics, type BrokerMetrics as Metrics, type UpstreamReading } from "../../ops/metrics/broker.ts";
import { WRISTBAND_FAULTS, type WristbandFault } from "../../wristband/verify.ts";
import type { ConfigState } from "../../ops/reload.ts";
import type { Traces } from "../traces.ts";
import { createOpsServer, type OpsResponse, type OpsServerOptions } from "../../ops/ops-server.ts";

export type BrokerMetrics = Metrics<"ok" | WristbandFault>;

export function brokerMetrics(config: Config): BrokerMetrics {
  return createBrokerMetrics({
    servers: Object.keys(config.servers),
    methods: METHOD_NAMES,
    states: UPSTREAM_STATES,
    wristbandResults: ["ok", ...WRISTBAND_FAULTS],
  });
}

export interface BrokerOpsSources {
  readonly metrics: BrokerMetrics;
  readonly catalog: Catalog;
  readonly configState: () => ConfigState;
  /** True once the first round of lists has ended, or its time. */
  readonly started: () => boolean;
  /** Servers without which the broker is not ready: each must have been listed once. */
  readonly required: () => readonly string[];
  readonly keys: { status(): KeySetStatus };
  readonly held: Pick<HeldBytes, "bytes">;
  readonly traces: Pick<Traces, "counts">;
  readonly breakerState: (server: string) => BreakerState;
  /** What operators should know of the configuration: names by what is odd about them, such as disabled servers. */
  readonly notes?: () => Readonly<Record<string, readonly string[]>>;
  /** The serve of a valid catalogue token. */
  readonly readerOf: (token: string) => CatalogReader | null;
  /** Receives each serve that reads the catalogue. */
  readonly onRead: (reader: CatalogReader) => void;
}

export function brokerOps(listener: Pick<OpsServerOptions, "address" | "tls">, sources: BrokerOpsSources) {
  const { metrics, catalog, keys, held, required, started, breakerState } = sources;
  const isReady = () =>
    keys.status().keys > 0 && started() && required().every((server) => catalog.offers(server) !== null);
  const statuses = () => catalog.states().map((state) => statusOf(state, breakerState(state.server)));
  return createOpsServer({
    name: "brokerOps",
    ...listener,
    routes: {
      "/healthz": () => ({ status: 200, contentType: "text/plain", body: "ok\n" }),
      "/readyz": () => {
        const ready = isReady();
        const { revision } = catalog.current();
        return json(ready ? 200 : 503, {
          ready,
          keys: keys.status().lastError,
          catalog: revision,
          upstreams: statuses(),
          config: sources.configState(),
        });
      },
      "/status": () => {
        const { revision } = catalog.current();
        return json(200, {
          ready: isReady(),
          catalog: revision,
          upstreams: statuses(),
          notes: sources.notes?.() ?? {},
        });
      },
      "/metrics": async () => {
        const upstreams = catalog.states().map((state) => ({
          ...readingOf(state),
          isRefused: breakerState(state.server) !== "closed",
        }));
        const reading = {
          revision: catalog.current().revision,
          upstreams,
          keysFailing: keys.status().lastError !== null,
          heldBytes: held.bytes,
          configStale: sources.configState().stale !== null,
          traces: sources.traces.counts(),
        };
        return { status: 200, contentType: metrics.contentType, body: await metrics.render(reading) };
      },
      "/catalog": (request) => catalogResponse(sources, request),
    },
  });
}

/** State and counts of a server, for metrics: without names. */
function readingOf({ server, state, ageSeconds, listed }: UpstreamState): Omit<UpstreamReading, "isRefused"> {
  const { stats } = listed ?? {};
  const entries = countsOf(listed);
  const directFaults = listed?.direct?.faults ?? [];
  return {
    ...{ server, state, ageSeconds, entries, directFaults },
    dropped: counts(stats?.dropped),
    changed: counts(stats?.changed),
  };
}

/** The same for people who operate it: what was left out or changed has names. `/catalog`, with all names, is for `serve`. */
function statusOf({ listed, ...state }: UpstreamState, breaker: BreakerState): UpstreamStatus {
  const { dropped = {}, changed = {} } = listed?.stats ?? {};
  return {
    ...state,
    breaker,
    isShown: listed !== null,
    incomplete: listed?.incomplete ?? {},
    direct: [...(listed?.direct?.faults ?? [])],
    entries: countsOf(listed),
    dropped,
    changed,
  };
}

function countsOf(listed: UpstreamState["listed"]): UpstreamReading["entries"] {
  const { tools = [], prompts = [], resources = [], templates = [] } = listed ?? {};
  return {
    tools: tools.length,
    prompts: prompts.length,
    resources: resources.length,
    templates: templates.length,
  };
}

function counts(remarks: Remarks<string> = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(remarks).map(([reason, remark]) => [reason, remark?.count ?? 0]));
}

function catalogResponse(
  { catalog, readerOf, onRead, started }: BrokerOpsSources,
  request: IncomingMessage,
): OpsResponse {
  const token = /^Bearer ([A-Za-z0-9._-]+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
  const reader = readerOf(token);
  if (reader === null) return json(401, { error: "a catalogue token of serve is needed" });
  onRead(reader);
  // Half a catalogue would hide what its servers offer: serve keeps the one it has.
  if (!started()) return json(503, { error: "the servers are being listed" });
  const { revision, names } = catalog.current();
  const etag = `"${revision}"`;
  if (request.headers["if-none-match"] === etag)
    return { status: 304, contentType: "application/json", body: "", etag };
  return { ...json(200, names), etag };
}

function json(status: number, value: object): OpsResponse {
  return { status, contentType: "application/json", body: `${JSON.stringify(value)}\n` };
}
