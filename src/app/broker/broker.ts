// Composition root of the broker: parts in order, closed in reverse. I/O.
import { setTimeout as delay } from "node:timers/promises";
import { createBroker, type Broker } from "../../broker/server.ts";
import { createOutputSchemas } from "../../broker/catalog/output-schemas.ts";
import { createListeners, type Listeners } from "../../broker/listen.ts";
import { createListResults } from "../../broker/list-results.ts";
import { createHeldBytes, type HeldBytes } from "../../broker/held-bytes.ts";
import { createFindSchema } from "../../broker/relay/tool-schemas.ts";
import { catalogReaderOf } from "../../catalog/token.ts";
import { changedKeys, withLiveKeys } from "../../config/live.ts";
import type { Config } from "../../config/load.ts";
import { answerSettings } from "../../config/settings.ts";
import type { ListenAddress } from "../../http/listen.ts";
import type { RemoteKeySet } from "../../jose/remote-key-set.ts";
import type { Log } from "../../ops/log.ts";
import { readOnce, reloadParts } from "../../ops/reload.ts";
import { tlsOf, tlsParts } from "../tls-listeners.ts";
import { createChanges, type Changes } from "./changes.ts";
import { createLiveServers, type LiveServers } from "./live-servers.ts";
import { brokerMetrics, brokerOps, type BrokerOpsSources } from "./ops.ts";
import { listingReporter } from "./listing-reporter.ts";
import { buildRelay } from "./relay.ts";
import { sessionsOf } from "./sessions.ts";
import { keyFinder, publicKeysOf, verifierOf } from "./wristbands.ts";

export interface RunningBroker {
  /** SIGHUP: reads the configuration and the TLS files again. What cannot be read leaves the old in force. */
  reload(): Promise<void>;
  stop(): Promise<void>;
}

const monotonic = () => performance.now();
const GRACE_MS = 2000;
/** Longest wait for the first lists before the broker listens: a server that hangs must not hold up the others (B45). */
const FIRST_ROUND_MS = 3000;

/**
 * Builds and starts the broker.
 * @param reread the configuration as its file has it now, for SIGHUP
 * @throws {Error} that names the key at fault
 */
export async function startBroker(config: Config, log: Log, reread = () => config): Promise<RunningBroker> {
  const metrics = brokerMetrics(config);
  const keys = publicKeysOf(config, monotonic);
  const outputSchemas = createOutputSchemas();
  const changes = createChanges(monotonic);
  const live = createLiveServers(config, {
    ...{ monotonic, outputSchemas, onListed: listingReporter(metrics, log), onChanged: changes.onChanged },
    onApplied(next, changed) {
      metrics.setServers(Object.keys(next.servers));
      calls.apply(next, changed);
      changes.onApplied();
      sessions?.clients.endAt((server) => changed.has(server) || !Object.hasOwn(next.servers, server));
    },
  });
  const { catalog } = live;
  const findSchema = createFindSchema(() => catalog.current());
  const held = heldBytesOf(config);
  const { notices, policies } = changes;
  const parts = { monotonic, log, notices, policies };
  const sessions = sessionsOf(config, { ...parts, onListChanged: (...what) => catalog.heard(...what) });
  const kept = sessions?.kept ?? null;
  const observers = { observer: metrics.calls, onRefetch: metrics.refetched };
  const calls = buildRelay(config, { monotonic, log, findSchema, kept, ...observers });
  const verify = verifierOf(config, { keys, catalog, metrics });
  const listeners = listenersOf(config, changes);
  const lists = createListResults(Date.now);
  const own = { verify, lists, listeners, relay: calls.relay, sessions, held, observe: metrics.observeRequest };
  const broker = createBroker({ ...settingsOf(config), ...own, ...live });
  let started = false;
  const { breakerState } = calls;
  const sources = { metrics, keys, held, breakerState, started: () => started, onRead: changes.onRead };
  const ops = opsOf(config, { ...sources, ...live });
  await ops.listen();
  await Promise.all([keys.start(), Promise.race([catalog.start(), delay(FIRST_ROUND_MS, null, { ref: false })])]);
  await broker.listen();
  started = true;
  const [servers, ready] = [catalog.states().length, keys.status().keys > 0];
  log.info("listening", { broker: textOf(config.listen.broker), servers, ready });
  return {
    reload: createReload({ config, log, reread }, { broker, ops, live }),
    async stop() {
      // Streams of sessions have no end of their own.
      await Promise.all([broker.close(GRACE_MS), sessions?.close()]);
      await calls.close();
      keys.close();
      live.close();
      await outputSchemas.close();
      await ops.close();
    },
  };
}

interface ReloadOptions {
  readonly config: Config;
  readonly log: Log;
  readonly reread: () => Config;
}

interface Reloadable {
  readonly broker: Broker;
  readonly ops: ReturnType<typeof opsOf>;
  readonly live: LiveServers;
}

/** Reads the parts again; a part that fails stays as it was. */
function createReload({ config, log, reread }: ReloadOptions, { broker, ops, live }: Reloadable): () => Promise<void> {
  let inForce = config;
  return async () => {
    const next = readOnce(reread);
    const reloaded = await reloadParts(log, {
      ...tlsParts(config, { broker: broker.setTls, brokerOps: ops.setTls }),
      async servers() {
        const applied = withLiveKeys(inForce, next());
        // A server that hangs must not hold up the signal: it is listed all the same.
        await Promise.race([live.apply(applied), delay(FIRST_ROUND_MS, null, { ref: false })]);
        inForce = applied;
      },
    });
    log.info("reloaded", { what: reloaded.join(", ") });
    const waiting = next.value === null ? [] : changedKeys(inForce, next.value);
    if (waiting.length > 0)
      log.warn("restart_needed", { message: `changed, but read at the start only: ${waiting.join(", ")}` });
  };
}

function settingsOf(config: Config) {
  const { wristband, limits } = config;
  return {
    address: config.listen.broker,
    tls: tlsOf(config, "broker"),
    answers: answerSettings(config),
    wristbandHeader: wristband.header,
    maxBodyBytes: limits.bodyBytes,
  };
}

function listenersOf({ limits }: Config, { notices }: Changes): Listeners {
  return createListeners({
    notices,
    keepAliveMs: limits.keepAliveSeconds * 1000,
    maxPerCaller: limits.callsPerCaller,
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
