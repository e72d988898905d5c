// Builds the relay: its sessions, eras and limits, from the configuration.
import { isIP } from "node:net";
import { createEras, type Eras } from "../../broker/upstream/era.ts";
import type { FindSchema } from "../../broker/relay/request.ts";
import { createBreaker, type Breaker, type BreakerState } from "../../broker/relay/breaker.ts";
import { createRefetching, type Refetching, type RefetchOptions } from "../../broker/relay/refetch.ts";
import type { KeptCalls } from "../../broker/relay/kept-calls.ts";
import { createRelay, type Relay, type RelayObserver } from "../../broker/relay/relay.ts";
import type { ResumeSpan } from "../../broker/relay/traced.ts";
import { createSessionPool } from "../../broker/upstream/session-pool.ts";
import { jwksUrlOf } from "../../config/destinations.ts";
import type { Config } from "../../config/load.ts";
import { readCaFile } from "../../files/ca.ts";
import type { Log } from "../../ops/log.ts";

export interface RelayParts {
  readonly relay: Relay;
  readonly eras: Eras;
  readonly breakerState: (server: string) => BreakerState;
  /** Takes the servers of another configuration. The next call to one that has changed asks anew how it is spoken to. */
  apply(config: Config, changed: ReadonlySet<string>): void;
  close(): Promise<void>;
}

export interface RelayDeps {
  readonly monotonic: () => number;
  readonly log: Log;
  readonly findSchema: FindSchema;
  readonly kept: KeptCalls | null;
  readonly observer?: RelayObserver;
  /** Absent where nothing is recorded. */
  readonly resumeSpan?: ResumeSpan | undefined;
  /** Counts the credentials that were asked for anew. */
  readonly onRefetch?: RefetchOptions["observe"];
}

const MAX_SESSIONS = 10_000;
/** A quarter of the connections to one server: no single caller can take them all, whatever `limits.callsPerCaller` is. */
export const MAX_CALLS_PER_SERVER = 256;
const SESSION_IDLE_MS = 5 * 60_000;
const SWEEP_MS = 30_000;
const NO_OBSERVER: RelayObserver = { observe: () => {}, dropped: () => {}, thinned: () => {} };

export function buildRelay(
  config: Config,
  { monotonic, log, findSchema, kept, observer = NO_OBSERVER, onRefetch = () => {}, resumeSpan }: RelayDeps,
): RelayParts {
  const sessions = createSessionPool({ maxSessions: MAX_SESSIONS, idleMs: SESSION_IDLE_MS, monotonic });
  const sweeper = setInterval(() => sessions.sweep(), SWEEP_MS);
  sweeper.unref();
  const eras = createEras(monotonic);
  const breakers = createBreakers(config, monotonic);
  const refetching = refetchingOf(config, onRefetch);
  const relay = createRelay({
    breakerOf: breakers.of,
    eras,
    sessions,
    findSchema,
    kept,
    refetch: refetching.refetch,
    observer,
    resumeSpan,
    log,
    now: Date.now,
    monotonic,
    maxCallsPerCaller: config.limits.callsPerCaller,
    maxCallsPerServer: MAX_CALLS_PER_SERVER,
    notificationsPerSecond: config.limits.notificationsPerSecond,
    keepAliveMs: config.limits.keepAliveSeconds * 1000,
  });
  return {
    relay,
    eras,
    breakerState: (server) => breakers.of(server)?.state() ?? "closed",
    apply(next, changed) {
      const gone = breakers.names().filter((server) => !Object.hasOwn(next.servers, server));
      for (const server of [...changed, ...gone]) {
        eras.forget(server);
        sessions.endAt(server);
      }
      breakers.apply(next);
    },
    async close() {
      clearInterval(sweeper);
      await relay.endAll();
      refetching.close();
      await sessions.close();
    },
  };
}

/** Milliseconds beside the time that serve takes for it, which is that of a Check. */
const REFETCH_ROOM_MS = 500;

/** Every replica of serve is spoken to as the one whose keys are fetched. */
function refetchingOf(config: Config, observe: RefetchOptions["observe"]): Refetching {
  const { protocol, hostname } = new URL(jwksUrlOf(config));
  return createRefetching({
    isTls: protocol === "https:",
    ca: readCaFile("wristband.caFile", config.wristband.caFile),
    // No name is asked for where keys come from an address.
    serverName: isIP(hostname.replace(/^\[|\]$/g, "")) === 0 ? hostname : null,
    timeoutMs: config.checkTimeoutMs + REFETCH_ROOM_MS,
    observe,
  });
}

/** The circuit breakers of all servers. One whose settings stay keeps its state when the configuration is read anew. */
function createBreakers(config: Config, monotonic: () => number) {
  let live = new Map<string, { readonly settings: string; readonly breaker: Breaker }>();
  const apply = ({ servers }: Config) => {
    const before = live;
    live = new Map(
      Object.entries(servers).map(([name, { url, breaker }]) => {
        const settings = JSON.stringify([url, breaker]);
        const known = before.get(name);
        return [name, known?.settings === settings ? known : { settings, breaker: createBreaker(breaker, monotonic) }];
      }),
    );
  };
  apply(config);
  return { of: (server: string) => live.get(server)?.breaker, names: () => [...live.keys()], apply };
}
