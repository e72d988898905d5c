// Composition root of the broker: parts in order, closed in reverse. I/O.
import { setTimeout as delay } from "node:timers/promises";
import { createBroker, type BrokerOptions } from "../../broker/server.ts";
import { createOutputSchemas } from "../../broker/catalog/output-schemas.ts";
import { createCatalog, type Catalog } from "../../broker/catalog/snapshot.ts";
import { createHeldBytes, type HeldBytes } from "../../broker/held-bytes.ts";
import { createFindSchema } from "../../broker/relay/tool-schemas.ts";
import { jwksUrlOf } from "../../config/destinations.ts";
import type { Config } from "../../config/load.ts";
import { readCaFile } from "../../files/ca.ts";
import { createFetch } from "../../http/fetch-document.ts";
import type { ListenAddress } from "../../http/listen.ts";
import type { Curation } from "../../mcp/curation.ts";
import type { Log } from "../../ops/log.ts";
import { catalogReaderOf } from "../../catalog/token.ts";
import type { RemoteKeySet } from "../../jose/remote-key-set.ts";
import { createPublicKeys, KEY_SET_LIMITS } from "../../wristband/public-keys.ts";
import { createVerifier, type Verification } from "../../wristband/verify.ts";
import { createChanges } from "./changes.ts";
import { brokerMetrics, brokerOps, type BrokerMetrics, type BrokerOpsSources } from "./ops.ts";
import { buildRelay } from "./relay.ts";
import { answerSettings, checkSettings } from "../../config/settings.ts";
import { reloadParts } from "../../ops/reload.ts";
import { tlsOf, tlsParts } from "../tls-listeners.ts";
import { sessionsOf } from "./sessions.ts";
import { listersOf, upstreamsOf } from "./upstreams.ts";

export interface RunningBroker {
  /** SIGHUP: reads the TLS files again. A file that cannot be read leaves the old one in force. */
  reload(): Promise<void>;
  stop(): Promise<void>;
}

const monotonic = () => performance.now();
const GRACE_MS = 2000;
/** Longest wait for the first lists before the broker listens: a server that hangs must not hold up the others (B45). */
const FIRST_ROUND_MS = 3000;

/** Builds and starts the broker. @throws {Error} that names the key at fault */
export async function startBroker(config: Config, log: Log): Promise<RunningBroker> {
  const { endpoints, resolver, curation } = checkSettings(config);
  const metrics = brokerMetrics(config);
  const keys = publicKeysOf(config);
  const upstreams = upstreamsOf(config);
  const outputSchemas = createOutputSchemas();
  const listers = listersOf(config, upstreams, { resolver, curation, outputSchemas });
  const changes = createChanges(monotonic);
  const catalog = createCatalog({
    servers: listers,
    monotonic,
    onListed: reporter(metrics, log),
    onChanged: changes.onChanged,
  });
  const findSchema = createFindSchema(() => catalog.current());
  const calls = buildRelay(config, { monotonic, log, findSchema, observer: metrics.calls });
  const held = heldBytesOf(config);
  const sessions = sessionsOf(config, { monotonic, log });
  const broker = createBroker({
    address: config.listen.broker,
    tls: tlsOf(config, "broker"),
    endpoints: endpoints.paths,
    ...settingsOf(config),
    view: viewsOf(config, catalog, curation),
    verify: verifier(config, { keys, catalog, metrics }),
    calls: { resolver, curation, upstreams },
    relay: calls.relay,
    sessions,
    held,
    observe: metrics.observeRequest,
  });
  let started = false;
  const ops = opsOf(config, { metrics, catalog, keys, held, started: () => started, onRead: changes.onRead });
  await ops.listen();
  await Promise.all([keys.start(), Promise.race([catalog.start(), delay(FIRST_ROUND_MS, null, { ref: false })])]);
  await broker.listen();
  started = true;
  const [servers, ready] = [catalog.states().length, keys.status().keys > 0];
  log.info("listening", { broker: textOf(config.listen.broker), servers, ready });
  return {
    async reload() {
      const parts = tlsParts(config, { broker: broker.setTls, brokerOps: ops.setTls });
      log.info("reloaded", { what: (await reloadParts(log, parts)).join(", ") });
    },
    async stop() {
      // Streams of sessions have no end of their own.
      await Promise.all([broker.close(GRACE_MS), sessions?.close()]);
      await calls.close();
      keys.close();
      catalog.close();
      await outputSchemas.close();
      upstreams.close();
      await ops.close();
    },
  };
}

function settingsOf(config: Config) {
  const { wristband, limits } = config;
  return { answers: answerSettings(config), wristbandHeader: wristband.header, maxBodyBytes: limits.bodyBytes };
}

function heldBytesOf({ limits }: Config): HeldBytes {
  return createHeldBytes({ perCaller: limits.heldBytesPerCaller, total: limits.heldBytes });
}

function publicKeysOf(config: Config): RemoteKeySet {
  const ca = readCaFile("wristband.caFile", config.wristband.caFile);
  return createPublicKeys({ url: jwksUrlOf(config), fetch: createFetch(ca, KEY_SET_LIMITS), monotonic });
}

function keyFinder(keys: RemoteKeySet) {
  return (kid: string) => keys.get(kid)?.key;
}

function opsOf(
  config: Config,
  sources: Omit<BrokerOpsSources, "readerOf" | "required"> & { readonly keys: RemoteKeySet },
) {
  const verifier = { parties: config.wristband, findKey: keyFinder(sources.keys), now: Date.now };
  return brokerOps(
    { address: config.listen.brokerOps, tls: tlsOf(config, "brokerOps") },
    { ...sources, required: requiredServers(config), readerOf: (token) => catalogReaderOf(token, verifier) },
  );
}

function requiredServers({ servers }: Config): string[] {
  return Object.keys(servers).filter((name) => servers[name]?.required === true);
}

function viewsOf({ lists }: Config, catalog: Catalog, curation: Curation): BrokerOptions["view"] {
  const pageEntries = lists.pageSize === "auto" ? Infinity : lists.pageSize;
  return ({ server, virtualServer }, wristband) => ({
    snapshot: catalog.current(),
    offers: server === null ? null : catalog.offers(server),
    server,
    virtualServer,
    pageEntries,
    wristband: { ...wristband, ...curation.narrow(wristband, virtualServer) },
    now: Date.now(),
  });
}

interface VerifierParts {
  readonly keys: RemoteKeySet;
  readonly catalog: Catalog;
  readonly metrics: BrokerMetrics;
}

/** Longest wait for the servers' lists, when a wristband refers to one that is not known here. */
const REFRESH_WAIT_MS = 2000;

/**
 * A wristband whose key is not known yet may have been signed by one that was just rotated in; one that refers to an unknown
 * list may be of a serve that reads the catalogue of another broker.
 */
function verifier({ wristband: { issuer, audience } }: Config, { keys, catalog, metrics }: VerifierParts) {
  const parts = { findKey: keyFinder(keys), findNames: catalog.findNames, now: Date.now };
  const verify = createVerifier({ issuer, audience, ...parts });
  return async (jws: string): Promise<Verification> => {
    let verified = verify(jws);
    if (!verified.ok && verified.fault === "kid") {
      await keys.refresh();
      verified = verify(jws);
    }
    if (!verified.ok && verified.fault === "catalog") {
      await Promise.race([catalog.refresh(), delay(REFRESH_WAIT_MS, null, { ref: false })]);
      verified = verify(jws);
    }
    metrics.wristband(verified.ok ? "ok" : verified.fault);
    return verified;
  };
}

/** Counts each attempt to list a server; logs when a server begins to fail, fails otherwise, and recovers. */
function reporter(metrics: BrokerMetrics, log: Log) {
  const failing = new Map<string, string>();
  return (server: string, error: string | null) => {
    metrics.listed(server, error === null);
    const before = failing.get(server);
    if (error === null) {
      failing.delete(server);
      if (before !== undefined) log.info("upstream_listed_again", { server });
    } else {
      failing.set(server, error);
      if (before !== error) log.warn("upstream_not_listed", { server, message: error });
    }
  };
}

function textOf(address: ListenAddress): string {
  return address.kind === "unix" ? address.path : `${address.host}:${address.port}`;
}
