// The real broker in this process, with real lists, real wristbands and real calls, and all its parts in the test's hand.
import type { IncomingMessage } from "node:http";
import { endpointTable } from "../../src/authz/endpoint.ts";
import type { Visible } from "../../src/authz/types.ts";
import { createCatalog, type Catalog } from "../../src/broker/catalog/snapshot.ts";
import { createChangeNotices, type ChangeNotices } from "../../src/broker/change-notices.ts";
import { createListResults } from "../../src/broker/list-results.ts";
import { createListeners, type Listeners } from "../../src/broker/listen.ts";
import { createHeldBytes, type HeldBytes } from "../../src/broker/held-bytes.ts";
import type { Refetch } from "../../src/broker/relay/refetch.ts";
import type { ResumeSpan } from "../../src/broker/relay/traced.ts";
import type { FindSchema } from "../../src/broker/relay/request.ts";
import { createBreaker, type Breaker, type BreakerSettings } from "../../src/broker/relay/breaker.ts";
import { createKeptCalls, type KeptCalls, type KeptCallsOptions } from "../../src/broker/relay/kept-calls.ts";
import { createRelay, type RelayOptions, type RelayOutcome } from "../../src/broker/relay/relay.ts";
import { createClientSessions, type ClientSessions } from "../../src/broker/sessions/client-sessions.ts";
import type { TaskIds } from "../../src/authz/task-ids.ts";
import { createEventIds } from "../../src/broker/sessions/event-ids.ts";
import { createPacer } from "../../src/broker/upstream/brake.ts";
import { createReadMessage } from "../../src/broker/upstream/message.ts";
import { createForwarder } from "../../src/broker/sessions/forward.ts";
import { createSessionIds } from "../../src/broker/sessions/session-id.ts";
import { createSealer, type SealKey } from "../../src/secret/seal.ts";
import { createBroker, type Broker, type BrokerOptions } from "../../src/broker/server.ts";
import { createEras } from "../../src/broker/upstream/era.ts";
import { createSessionPool } from "../../src/broker/upstream/session-pool.ts";
import { createUpstreams, type Upstreams } from "../../src/broker/upstream/upstream.ts";
import type { JsonObject } from "../../src/json/types.ts";
import type { AliasTable } from "../../src/mcp/aliases.ts";
import { createCuration, UNCURATED, type CurationSettings, type ServerCuration } from "../../src/mcp/curation.ts";
import { createResolver } from "../../src/mcp/resolver.ts";
import { createVerifier } from "../../src/wristband/verify.ts";
import { open, replyOf, type BrokerReply, type CallParts } from "./broker-client.ts";
import type { TestKey } from "./issuer.ts";
import { listingOf, type Offered } from "./listing.ts";
import type { PoliciesInForce } from "../../src/broker/policies-in-force.ts";
import { KEY, publicKeysOf, READER, setDestinations, WRISTBAND, wristbandOf } from "./wristband.ts";

export interface TestServer {
  /** Where its calls go. */
  readonly url?: string;
  readonly timeoutMs?: number;
  readonly maxResponseBytes?: number;
  readonly sessions?: "client" | "caller";
  /** The headers of its chain; null for a server whose chain is `none`. */
  readonly headers?: readonly string[] | null;
  readonly fixed?: Readonly<Record<string, string>>;
  readonly passHeaders?: readonly string[];
  /** For the schemas of calls. */
  readonly tools?: readonly JsonObject[];
  /** Its lists; not listed without. */
  readonly offered?: Offered;
  readonly curation?: Partial<ServerCuration>;
  readonly aliases?: AliasTable;
}

export interface BrokerLimits {
  readonly maxSessions?: number;
  readonly maxCallsPerCaller?: number;
  readonly maxCallsPerServer?: number;
  readonly notificationsPerSecond?: number;
  readonly keepAliveMs?: number;
  readonly breaker?: BreakerSettings;
  readonly heldBytesPerCaller?: number;
  readonly heldBytes?: number;
  readonly tls?: BrokerOptions["tls"];
  readonly virtualServers?: VirtualServers;
  readonly pageEntries?: number;
  readonly tasks?: TaskIds;
  readonly search?: boolean;
  readonly refetch?: Refetch;
  readonly resumeSpan?: ResumeSpan;
  /** 0 for any. */
  readonly port?: number;
  /** Sessions of clients; none without. */
  readonly clientSessions?: TestSessions;
  readonly denial?: BrokerOptions["answers"]["denial"];
}

export interface TestSessions {
  readonly keys?: readonly SealKey[];
  /** Where other replicas find this one. */
  readonly address?: string;
  readonly max?: number;
  readonly maxPerCaller?: number;
  readonly idleMs?: number;
  readonly absoluteMs?: number;
  readonly kept?: Pick<KeptCallsOptions, "max" | "maxPerCaller" | "later">;
}

export const SEAL_KEY: SealKey = { id: "k1", key: Buffer.alloc(32, 1) };

/** The policies that are in force; the one of {@link READER} at the start. */
export interface TestPolicies extends PoliciesInForce {
  /** Puts another one in force. */
  set(revision: string): void;
}

function createTestPolicies(): TestPolicies {
  let live: string = READER.policy;
  const listeners = new Set<() => void>();
  return {
    has: (revision) => revision === live,
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    set(revision) {
      live = revision;
      for (const listener of listeners) listener();
    },
  };
}

interface Clocks {
  readonly now: () => number;
  readonly monotonic: () => number;
}

function clientSessionsOf(
  { keys = [SEAL_KEY], address = "127.0.0.1:1", ...limits }: TestSessions,
  { now, monotonic, notices, policies }: Clocks & { readonly notices: ChangeNotices; readonly policies: TestPolicies },
): ClientSessions {
  const { max = 1000, maxPerCaller = 1000, idleMs = 60_000, absoluteMs = 600_000 } = limits;
  const sealer = createSealer(keys);
  return createClientSessions({
    ids: createSessionIds({ sealer, owner: address, absoluteMs, now }),
    events: createEventIds(sealer),
    readMessage: createReadMessage(createPacer()),
    notificationsPerSecond: 100,
    ...{ address, max, maxPerCaller, idleMs, absoluteMs, now, monotonic, notices, policies },
    onListChanged: (server, kinds) => notices.changed({ server, kinds }),
  });
}

export interface TestBroker {
  readonly port: number;
  readonly catalog: Catalog;
  readonly notices: ChangeNotices;
  readonly policies: TestPolicies;
  readonly key: TestKey;
  /** Every key that the broker knows. */
  readonly known: Map<string, TestKey>;
  /** Requests that it answered itself, with their ends. */
  readonly requests: string[];
  /** Calls, with their ends. */
  readonly observed: readonly (readonly [string, RelayOutcome])[];
  readonly log: readonly string[];
  readonly seen: { readonly dropped: number; readonly thinned: number };
  /** Bytes that are held for all callers. */
  held(): number;
  sessions(): number;
  /** Sessions of clients. */
  clientSessions(): number;
  /** Ends the streams that tell of resources, as SIGHUP does. */
  endWatching(): void;
  /** As after SIGHUP without this server. */
  endSessionsAt(server: string): void;
  /** Calls that wait for their clients. */
  kept(): number;
  sweep(): void;
  /** Milliseconds that both clocks are ahead. */
  ahead: number;
  /** A wristband for lists. */
  wristband(who: string, visible: Visible, key?: TestKey): string;
  call(parts?: CallParts): Promise<BrokerReply>;
  /** The same, with the answer as it comes. */
  open(parts?: CallParts): Promise<IncomingMessage>;
  /** Calls that nobody waits for any more. */
  leave(parts: CallParts, afterMs: number): void;
  close(graceMs?: number): Promise<void>;
}

const SETTINGS = {
  // The statuses of the table: the other forms are 200 for most (denial-form.test.ts).
  answers: { publicOrigin: WRISTBAND.issuer, scopes: [], denial: "http" },
  wristbandHeader: "x-authorized-tools",
  maxBodyBytes: 256 * 1024,
} as const;

type VirtualServers = CurationSettings["virtualServers"];
type TestServers = Readonly<Record<string, TestServer>>;

/** The parts of a broker, and what a test sees of them. */
function partsOf(servers: TestServers, limits: BrokerLimits) {
  const clocks = { ahead: 0 };
  const monotonic = () => performance.now() + clocks.ahead;
  const now = () => Date.now() + clocks.ahead;
  const notices = createChangeNotices();
  const policies = createTestPolicies();
  const seen: Seen = { observed: [], log: [], dropped: 0, thinned: 0 };
  const sessions = createSessionPool({ maxSessions: limits.maxSessions ?? 100, idleMs: 60_000, monotonic });
  const kept = keptCallsOf(limits, now);
  const parts = { eras: createEras(monotonic), sessions, findSchema: schemasOf(servers), kept, now, monotonic };
  return {
    clocks,
    now,
    seen,
    notices,
    policies,
    sessions,
    eras: parts.eras,
    kept,
    relay: createRelay({ ...parts, ...recorder(seen), ...relayLimits(limits), ...breakersOf(limits, monotonic) }),
    upstreams: upstreamsOf(servers),
    held: heldBytesOf(limits),
    clientSessions:
      limits.clientSessions === undefined
        ? null
        : clientSessionsOf(limits.clientSessions, { now, monotonic, notices, policies }),
    forwarder: createForwarder({ tls: null, onFault: (code) => seen.log.push(code) }),
    catalog: catalogOf(servers),
    known: new Map([[KEY.kid, KEY]]),
    requests: [] as string[],
  };
}

function listenersOf({ notices, policies, eras }: ReturnType<typeof partsOf>): Listeners {
  return createListeners({ notices, policies, eras, keepAliveMs: 15_000, maxPerCaller: 64 });
}

type Parts = ReturnType<typeof partsOf> & { readonly listeners: Listeners };

function brokerOf(servers: TestServers, limits: BrokerLimits, parts: Parts): Broker {
  const { tls = null, virtualServers = {}, pageEntries = Infinity } = limits;
  const { now, relay, upstreams, held, catalog, known, requests, clientSessions, forwarder } = parts;
  const resolver = createResolver(
    Object.fromEntries(Object.keys(servers).map((name) => [name, `${name}_`])),
    Object.fromEntries(Object.entries(servers).map(([name, { aliases = {} }]) => [name, aliases])),
  );
  const curation = curationOf(servers, virtualServers);
  return createBroker({
    address: { kind: "tcp", host: "127.0.0.1", port: limits.port ?? 0 },
    tls,
    endpoints: endpointsOf(servers, limits, clientSessions !== null),
    ...SETTINGS,
    answers: { ...SETTINGS.answers, denial: limits.denial ?? SETTINGS.answers.denial },
    verify: verifierAt(now, known),
    view: ({ server, virtualServer, search, sessions }, band) => ({
      sessions,
      snapshot: catalog.current(),
      offers: server === null ? null : catalog.offers(server),
      server,
      virtualServer,
      search,
      pageEntries,
      tasks: limits.tasks !== undefined,
      wristband: { ...band, ...curation.narrow(band, virtualServer) },
      now: now(),
    }),
    calls: { resolver, curation, upstreams, tasks: limits.tasks ?? null },
    relay,
    sessions: clientSessions === null ? null : { clients: clientSessions, forwarder, keepAliveMs: 15_000 },
    lists: createListResults(now),
    snapshot: () => catalog.current(),
    listeners: parts.listeners,
    held,
    observe: (method, reason) => requests.push(`${method ?? "?"} ${reason ?? "ok"}`),
  });
}

export async function startTestBroker(servers: TestServers, limits: BrokerLimits = {}): Promise<TestBroker> {
  const parts = partsOf(servers, limits);
  const { clocks, seen, sessions, upstreams, held, catalog, known, requests, clientSessions, forwarder } = parts;
  await catalog.start();
  const listeners = listenersOf(parts);
  const broker = brokerOf(servers, limits, { ...parts, listeners });
  const port = await broker.listen();
  setDestinations(port, Object.fromEntries(Object.entries(servers).map(([name, { url = NOWHERE }]) => [name, url])));
  return {
    port,
    catalog,
    notices: parts.notices,
    policies: parts.policies,
    key: KEY,
    known,
    requests,
    wristband: (who, visible, signedBy = KEY) => wristbandOf(who, visible, signedBy),
    observed: seen.observed,
    log: seen.log,
    seen,
    held: () => held.bytes,
    sessions: () => sessions.size,
    clientSessions: () => clientSessions?.size ?? 0,
    endWatching: listeners.endWatching,
    endSessionsAt: (server) => clientSessions?.endAt((name) => name === server),
    kept: () => parts.kept?.size ?? 0,
    sweep() {
      sessions.sweep();
      clientSessions?.sweep();
    },
    get ahead() {
      return clocks.ahead;
    },
    set ahead(ms: number) {
      clocks.ahead = ms;
    },
    call: async (call) => replyOf(await open(port, call ?? {})),
    open: (call) => open(port, call ?? {}),
    leave: (call, afterMs) => void open(port, call, AbortSignal.timeout(afterMs)).catch(() => {}),
    async close(graceMs = 0) {
      catalog.close();
      await broker.close(graceMs);
      await parts.relay.endAll();
      await clientSessions?.close();
      await sessions.close();
      forwarder.close();
      upstreams.close();
    },
  };
}

function curationOf(servers: TestServers, virtualServers: VirtualServers) {
  const curated = Object.entries(servers).map(([name, { curation }]) => [name, { ...UNCURATED, ...curation }] as const);
  return createCuration({ servers: Object.fromEntries(curated), virtualServers });
}

const MIB = 1024 * 1024;
const NOWHERE = "http://127.0.0.1:1/mcp";

/** Where there are keys. */
function keptCallsOf({ clientSessions }: BrokerLimits, now: () => number): KeptCalls | null {
  if (clientSessions === undefined) return null;
  const { keys = [SEAL_KEY], address = "127.0.0.1:1", kept = {} } = clientSessions;
  return createKeptCalls({ sealer: createSealer(keys), address, now, ...kept });
}

/** A breaker for each server, if there are any. */
function breakersOf({ breaker }: BrokerLimits, monotonic: () => number): Pick<RelayOptions, "breakerOf"> {
  if (breaker === undefined) return {};
  const breakers = new Map<string, Breaker>();
  return {
    breakerOf(server) {
      const found = breakers.get(server) ?? createBreaker(breaker, monotonic);
      breakers.set(server, found);
      return found;
    },
  };
}

function relayLimits(limits: BrokerLimits) {
  const { maxCallsPerCaller, maxCallsPerServer, notificationsPerSecond, keepAliveMs } = limits;
  return {
    ...(limits.refetch !== undefined && { refetch: limits.refetch }),
    resumeSpan: limits.resumeSpan,
    keepAliveMs: keepAliveMs ?? 15_000,
    maxCallsPerCaller: maxCallsPerCaller ?? 1000,
    maxCallsPerServer: maxCallsPerServer ?? 1000,
    notificationsPerSecond: notificationsPerSecond ?? 100,
  };
}

function endpointsOf(
  servers: TestServers,
  { virtualServers = {}, search = false }: BrokerLimits,
  sessions: boolean,
): BrokerOptions["endpoints"] {
  const names = Object.keys(servers).map((name) => [name, { allowQuery: false, legacySse: true }] as const);
  const publicOrigin = WRISTBAND.issuer;
  const named = Object.fromEntries(names);
  const hasSessions = () => sessions;
  return endpointTable({
    publicOrigin,
    hosts: [],
    servers: named,
    virtualServers,
    search,
    hasSessions,
    legacySse: true,
  }).paths;
}

function verifierAt(now: () => number, known: ReadonlyMap<string, TestKey>): BrokerOptions["verify"] {
  const verify = createVerifier({ ...WRISTBAND, findKey: publicKeysOf(known), now });
  return (jws) => Promise.resolve(verify(jws));
}

function catalogOf(servers: TestServers): Catalog {
  const listers = Object.entries(servers).flatMap(([name, { offered, aliases }]) =>
    offered === undefined ? [] : [[name, async () => listingOf(name, offered, aliases)] as const],
  );
  return createCatalog({ servers: new Map(listers), monotonic: () => performance.now(), onListed: () => {} });
}

function heldBytesOf({ heldBytesPerCaller, heldBytes }: BrokerLimits): HeldBytes {
  return createHeldBytes({ perCaller: heldBytesPerCaller ?? 32 * MIB, total: heldBytes ?? 128 * MIB });
}

function upstreamsOf(servers: TestServers): Upstreams {
  return createUpstreams(
    new Map(
      Object.entries(servers).map(
        ([name, { url = NOWHERE, timeoutMs = 2000, headers = ["authorization"], ...more }]) => {
          const { maxResponseBytes = 8 * MIB, sessions = "client" } = more;
          const passed = { headers: more.fixed ?? {}, passHeaders: new Set(more.passHeaders) };
          const credentials = { credentialHeaders: new Set(headers), needsCredential: headers !== null };
          return [name, { url, ca: null, timeoutMs, maxResponseBytes, sessions, ...credentials, ...passed }];
        },
      ),
    ),
  );
}

function schemasOf(servers: TestServers): FindSchema {
  return (server, tool) => servers[server]?.tools?.find(({ name }) => name === tool)?.["inputSchema"];
}

/** What the relay told. */
interface Seen {
  readonly observed: (readonly [string, RelayOutcome])[];
  readonly log: string[];
  dropped: number;
  thinned: number;
}

function recorder(seen: Seen): Pick<RelayOptions, "observer" | "log"> {
  return {
    observer: {
      observe: (server, outcome) => seen.observed.push([server, outcome]),
      dropped: (_, events) => (seen.dropped += events),
      thinned: (_, events) => (seen.thinned += events),
    },
    log: {
      debug: (name, fields) => seen.log.push(JSON.stringify({ name, ...fields })),
      warn: (name, fields) => seen.log.push(JSON.stringify({ name, level: "warn", ...fields })),
    },
  };
}
