// Composition root of the broker: parts in order, closed in reverse. I/O.
import { setTimeout as delay } from "node:timers/promises";
import { createBroker, type Broker } from "../../broker/server.ts";
import type { Eras } from "../../broker/upstream/era.ts";
import { createOutputSchemas } from "../../broker/catalog/output-schemas.ts";
import { createListeners, type Listeners } from "../../broker/listen.ts";
import { createListResults } from "../../broker/list-results.ts";
import { createHeldBytes, type HeldBytes } from "../../broker/held-bytes.ts";
import { createFindSchema } from "../../broker/relay/tool-schemas.ts";
import { catalogReaderOf } from "../../catalog/token.ts";
import type { Config } from "../../config/load.ts";
import type { ListenAddress } from "../../http/listen.ts";
import type { RemoteKeySet } from "../../jose/remote-key-set.ts";
import type { Log } from "../../ops/log.ts";
import { tlsOf } from "../tls-listeners.ts";
import { createTraces } from "../traces.ts";
import { createChanges, type Changes } from "./changes.ts";
import { createLiveServers, type LiveServers } from "./live-servers.ts";
import { brokerMetrics, brokerOps, type BrokerMetrics, type BrokerOpsSources } from "./ops.ts";
import { listingReporter } from "./listing-reporter.ts";
import { createReloads, LISTS_MS, type BrokerSource } from "./reload.ts";
import { buildRelay, type RelayDeps, type RelayParts } from "./relay.ts";
import { createSessionEnd, sessionsOf } from "./sessions.ts";
import { keyFinder, publicKeysOf, verifierOf } from "./wristbands.ts";

export interface RunningBroker {
  /** SIGHUP: reads the configuration and the TLS files again. What cannot be read leaves the old in force. */
  reload(): Promise<void>;
  stop(): Promise<void>;
}

const monotonic = () => performance.now();
const GRACE_MS = 2000;
/** Interval of the looks at files. */
const POLL_MS = 1000;

/**
 * Builds and starts the broker.
 * @param source the configuration as its files have it now
 * @throws {Error} that names the key at fault
 */
export async function startBroker(config: Config, log: Log, source = unwatched(config)): Promise<RunningBroker> {
  const metrics = brokerMetrics(config);
  const keys = publicKeysOf(config, monotonic);
  const outputSchemas = createOutputSchemas();
  const changes = createChanges(monotonic);
  const endSessions = createSessionEnd(config, () => sessions?.clients ?? null);
  const live = createLiveServers(config, {
    ...{ monotonic, outputSchemas, onListed: listingReporter(metrics, log), onChanged: changes.onChanged },
    onApplied(next, changed) {
      metrics.setServers(Object.keys(next.servers));
      calls.apply(next, changed);
      changes.onApplied();
      listeners.endWatching();
      endSessions(next, changed);
    },
  });
  const { catalog } = live;
  const parts = { monotonic, log, sealer: live.sealer, notices: changes.notices, policies: changes.policies };
  const sessions = sessionsOf(config, { ...parts, onListChanged: (...what) => catalog.heard(...what) });
  const traces = createTraces(config, { service: "mcp-authz-broker", log });
  const calls = callsOf(config, { log, metrics, catalog, kept: sessions?.kept ?? null, resumeSpan: traces.resume });
  const verify = verifierOf(config, { keys, catalog, metrics });
  const listeners = listenersOf(config, changes, calls.eras);
  const [held, lists] = [heldBytesOf(config), createListResults(Date.now)];
  const own = { verify, lists, listeners, relay: calls.relay, sessions, held, observe: metrics.observeRequest };
  const broker = createBroker({ ...settingsOf(config), ...own, ...live });
  let started = false;
  const told = { breakerState: calls.breakerState, configState: () => reloads.state(), onRead: changes.onRead };
  const ops = opsOf(config, { metrics, keys, held, traces, started: () => started, ...told, ...live });
  const reloads = createReloads({ config, log, source, metrics }, { broker, ops, live });
  await ops.listen();
  await Promise.all([keys.start(), Promise.race([catalog.start(), delay(LISTS_MS, null, { ref: false })])]);
  await broker.listen();
  started = true;
  reloads.watch(POLL_MS);
  const counts = { servers: catalog.states().length, ready: keys.status().keys > 0 };
  log.info("listening", { broker: textOf(config.listen.broker), ...counts });
  return {
    reload: reloads.reload,
    async stop() {
      started = false;
      await leave(broker, config);
      reloads.close();
      // Streams of sessions have no end of their own.
      await Promise.all([broker.close(GRACE_MS), sessions?.close()]);
      await calls.close();
      for (const part of [keys, live]) part.close();
      await Promise.all([outputSchemas.close(), traces.close(), ops.close()]);
    },
  };
}

/** Serves on until those who ask have found out. */
async function leave(broker: Broker, { drainDelayMs }: Config): Promise<void> {
  broker.leave();
  await delay(drainDelayMs);
}

function unwatched(config: Config): BrokerSource {
  return { read: () => config };
}

interface CallDeps extends Pick<RelayDeps, "log" | "kept" | "resumeSpan"> {
  readonly metrics: BrokerMetrics;
  readonly catalog: LiveServers["catalog"];
}

function callsOf(config: Config, { log, kept, metrics, catalog, resumeSpan }: CallDeps): RelayParts {
  const findSchema = createFindSchema(() => catalog.current());
  const observers = { observer: metrics.calls, onRefetch: metrics.refetched };
  return buildRelay(config, { monotonic, log, findSchema, kept, resumeSpan, ...observers });
}

function settingsOf(config: Config) {
  const { wristband, limits } = config;
  return {
    address: config.listen.broker,
    tls: tlsOf(config, "broker"),
    wristbandHeader: wristband.header,
    maxBodyBytes: limits.bodyBytes,
  };
}

function listenersOf({ limits }: Config, { notices, policies }: Changes, eras: Eras): Listeners {
  return createListeners({
    ...{ notices, policies, eras },
    keepAliveMs: limits.keepAliveSeconds * 1000,
    maxPerCaller: limits.streamsPerCaller,
  });
}

function heldBytesOf({ limits }: Config): HeldBytes {
  return createHeldBytes({ perCaller: limits.heldBytesPerCaller, total: limits.heldBytes });
}

function opsOf(config: Config, sources: Omit<BrokerOpsSources, "readerOf"> & { readonly keys: RemoteKeySet }) {
  const verifier = { parties: config.wristband, findKey: keyFinder(sources.keys), now: Date.now };
  return brokerOps(
    { address: config.listen.brokerOps, tls: tlsOf(config, "brokerOps") },
    { ...sources, readerOf: (token) => catalogReaderOf(token, verifier) },
  );
}

function textOf(address: ListenAddress): string {
  return address.kind === "unix" ? address.path : `${address.host}:${address.port}`;
}
