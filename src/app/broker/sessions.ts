// Builds the sessions of clients from the configuration: their keys, limits, and the way to other replicas. I/O: files.
import {
  createClientSessions,
  type ClientSessions,
  type ClientSessionsOptions,
} from "../../broker/sessions/client-sessions.ts";
import { createEventIds } from "../../broker/sessions/event-ids.ts";
import { createKeptCalls, type KeptCalls } from "../../broker/relay/kept-calls.ts";
import { createForwarder, type ForwarderTls } from "../../broker/sessions/forward.ts";
import { createSessionIds } from "../../broker/sessions/session-id.ts";
import { createPacer } from "../../broker/upstream/brake.ts";
import { createReadMessage } from "../../broker/upstream/message.ts";
import type { SessionParts } from "../../broker/session-requests.ts";
import { configText } from "../../config/live.ts";
import type { Config } from "../../config/load.ts";
import { readCaFile } from "../../files/ca.ts";
import type { Log } from "../../ops/log.ts";
import type { Sealer } from "../../secret/seal.ts";
import { ownAddress } from "../own-address.ts";
import { tlsOf } from "../tls-listeners.ts";

export interface BuiltSessions extends SessionParts {
  readonly kept: KeptCalls;
  close(): Promise<void>;
}

export interface SessionDeps extends Pick<ClientSessionsOptions, "notices" | "policies" | "onListChanged"> {
  readonly sealer: Sealer | null;
  readonly monotonic: () => number;
  readonly log: Log;
}

const SWEEP_MS = 10_000;

/** Null without `sessions`. @throws {Error} that names the key at fault */
export function sessionsOf(config: Config, { sealer, monotonic, log, ...changes }: SessionDeps): BuiltSessions | null {
  const { sessions, limits } = config;
  if (sessions === null || sealer === null) return null;
  const address = ownAddress(sessions.address ?? config.listen.broker);
  const absoluteMs = sessions.absoluteSeconds * 1000;
  const clients = createClientSessions({
    ids: createSessionIds({ sealer, owner: address, absoluteMs, now: Date.now }),
    events: createEventIds(sealer),
    readMessage: createReadMessage(createPacer()),
    notificationsPerSecond: limits.notificationsPerSecond,
    address,
    max: limits.sessions,
    maxPerCaller: limits.sessionsPerCaller,
    idleMs: sessions.idleSeconds * 1000,
    absoluteMs,
    now: Date.now,
    monotonic,
    ...changes,
  });
  const onFault = (code: string) => log.warn("session_not_forwarded", { code });
  const forwarder = createForwarder({ tls: forwarderTls(config), onFault });
  const sweeper = setInterval(() => clients.sweep(), SWEEP_MS);
  sweeper.unref();
  return {
    clients,
    forwarder,
    kept: createKeptCalls({ sealer, address, now: Date.now }),
    keepAliveMs: limits.keepAliveSeconds * 1000,
    async close() {
      clearInterval(sweeper);
      await clients.close();
      forwarder.close();
    },
  };
}

type Ending = Pick<ClientSessions, "endAll" | "endAt">;

/**
 * Makes what ends sessions at a change of the configuration: those at servers that changed or left, and all where other callers are
 * let in. A caller who may have lost her right hears no more; her next request shows who she is.
 */
export function createSessionEnd(first: Config, sessions: () => Ending | null) {
  let config = first;
  return (next: Config, changed: ReadonlySet<string>): void => {
    const before = config;
    config = next;
    if (hasOtherCallers(before, next)) sessions()?.endAll();
    else sessions()?.endAt((server) => changed.has(server) || !Object.hasOwn(next.servers, server));
  };
}

/** True where somebody may have lost a right, or has another identity. A server that comes or goes changes nobody's. */
function hasOtherCallers(before: Config, next: Config): boolean {
  if (configText(before.identity) !== configText(next.identity)) return true;
  return Object.entries(next.servers).some(([name, { apiKeys, public: isPublic }]) => {
    const known = before.servers[name];
    return known !== undefined && configText([apiKeys, isPublic]) !== configText([known.apiKeys, known.public]);
  });
}

/** A replica is spoken to as Envoy speaks to it; it shows the certificate of its own listener. */
function forwarderTls(config: Config): ForwarderTls | null {
  const own = tlsOf(config, "broker");
  if (own === null || config.sessions === null) return null;
  const { caFile, serverName } = config.sessions;
  const ca = caFile === null ? own.clientCa : readCaFile("sessions.caFile", caFile);
  return { ca, client: { cert: own.cert, key: own.key }, serverName };
}
