// What the broker reads again while it runs: at SIGHUP, and when files of its configuration have changed. I/O by the parts.
import { setTimeout as delay } from "node:timers/promises";
import type { Broker } from "../../broker/server.ts";
import { changedKeys, withLiveKeys } from "../../config/live.ts";
import type { Config } from "../../config/load.ts";
import type { Log } from "../../ops/log.ts";
import type { OpsServer } from "../../ops/ops-server.ts";
import { createReloader } from "../../ops/reload.ts";
import { createConfigWatch, type ConfigSource, type ConfigWatch } from "../config-source.ts";
import { tlsParts } from "../tls-listeners.ts";
import type { LiveServers } from "./live-servers.ts";
import type { BrokerMetrics } from "./ops.ts";

/** The configuration as its files have it now; with the files themselves, if they are watched. */
export type BrokerSource = Pick<ConfigSource, "read"> &
  (Pick<ConfigSource, "files" | "seen"> | { readonly files?: undefined });

export interface BrokerReloadOptions {
  readonly config: Config;
  readonly log: Log;
  readonly source: BrokerSource;
  readonly metrics: Pick<BrokerMetrics, "configReload">;
}

/** The parts that are read again. */
export interface Reloadable {
  readonly broker: Pick<Broker, "setTls">;
  readonly ops: Pick<OpsServer, "setTls">;
  readonly live: Pick<LiveServers, "apply" | "sealer">;
}

/** Longest wait for the lists of new servers: one that hangs must not hold up the others (B45). */
export const LISTS_MS = 3000;

/** A part that fails stays as it was. */
export function createReloads(
  { config, log, source, metrics }: BrokerReloadOptions,
  { broker, ops, live }: Reloadable,
): ConfigWatch {
  let inForce = config;
  const reloader = createReloader<Config>({
    log,
    read: source.read,
    onReload: metrics.configReload,
    waiting: (next) => changedKeys(inForce, next),
    parts: ({ next }) => ({
      ...tlsParts(config, { broker: broker.setTls, brokerOps: ops.setTls }),
      ...(live.sealer !== null && { "session keys": () => live.sealer?.reload(next()) }),
      async servers() {
        const applied = withLiveKeys(inForce, next());
        // A server that hangs must not hold up the signal: it is listed all the same.
        await Promise.race([live.apply(applied), delay(LISTS_MS, null, { ref: false })]);
        inForce = applied;
      },
    }),
  });
  return createConfigWatch(reloader, source.files === undefined || !config.watchFiles ? null : source);
}
