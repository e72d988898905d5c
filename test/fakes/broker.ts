// The real broker with real wristbands in this process, and a client that says to it whatever a test wants.
import { createPublicKey, randomUUID } from "node:crypto";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { endpointTable } from "../../src/authz/endpoint.ts";
import { createBroker, type Broker, type BrokerOptions } from "../../src/broker/server.ts";
import { createEras } from "../../src/broker/upstream/era.ts";
import { createHeldBytes, type HeldBytes } from "../../src/broker/held-bytes.ts";
import type { FindSchema } from "../../src/broker/relay/request.ts";
import { createRelay, type RelayOptions, type RelayOutcome } from "../../src/broker/relay/relay.ts";
import { createSessionPool } from "../../src/broker/upstream/session-pool.ts";
import { createUpstreams, type Upstreams } from "../../src/broker/upstream/upstream.ts";
import type { JsonObject } from "../../src/json/types.ts";
import { createResolver } from "../../src/mcp/resolver.ts";
import { bodyDigest } from "../../src/wristband/claims.ts";
import { createVerifier } from "../../src/wristband/verify.ts";
import { compact, makeKey } from "./issuer.ts";

export const GATEWAY = "https://gw.example.com";
export const CREDENTIAL = "Bearer upstream-credential-canary";

export interface TestServer {
  readonly url: string;
  readonly timeoutMs?: number;
  /** The headers of its chain; null for a server whose chain is `none`. */
  readonly headers?: readonly string[] | null;
  readonly tools?: readonly JsonObject[];
}

export interface BrokerLimits {
  readonly maxSessions?: number;
  readonly maxCallsPerCaller?: number;
  readonly maxCallsPerServer?: number;
  readonly notificationsPerSecond?: number;
  readonly heldBytesPerCaller?: number;
  readonly heldBytes?: number;
  readonly tls?: BrokerOptions["tls"];
}

export interface BrokerReply {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  /** The JSON of the body, or of each event's data. */
  readonly messages: readonly Record<string, unknown>[];
}

/** What a call says; each part can be bent by a test. */
export interface CallParts {
  readonly server?: string;
  readonly path?: string;
  readonly name?: string;
  readonly method?: string;
  readonly id?: string | number;
  readonly body?: string;
  readonly modern?: boolean;
  readonly params?: Readonly<Record<string, unknown>>;
  /** Over the headers that Envoy would bring; undefined takes one away. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly claims?: Readonly<Record<string, unknown>>;
}

export interface TestBroker {
  readonly port: number;
  readonly observed: readonly (readonly [string, RelayOutcome])[];
  readonly log: readonly string[];
  readonly seen: { readonly dropped: number; readonly thinned: number };
  /** Bytes that are held for all callers. */
  held(): number;
  sessions(): number;
  sweep(): void;
  /** Milliseconds that both clocks are ahead. */
  ahead: number;
  call(parts?: CallParts): Promise<BrokerReply>;
  /** The same, with the answer as it comes. */
  open(parts?: CallParts): Promise<IncomingMessage>;
  /** Calls that nobody waits for any more. */
  leave(parts: CallParts, afterMs: number): void;
  close(graceMs?: number): Promise<void>;
}

const key = makeKey("k1");
const PUBLIC_KEY = createPublicKey({ key: key.jwk, format: "jwk" });
const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

export function claimsOf(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: GATEWAY,
    aud: "mcp-broker",
    sub: "alice",
    idp: "https://idp.example.com",
    iat: now,
    exp: now + 300,
    jti: randomUUID(),
    caller_exp: now + 3600,
    use: "call",
    tools: {},
    prompts: {},
    resources: {},
    ...more,
  };
}

const NOTHING_LISTED = { servers: new Map(), revision: "", names: { servers: {} } };

export const wristband = (claims: Readonly<Record<string, unknown>>) =>
  compact(key, { alg: "ES256", typ: "wristband+jwt", kid: "k1" }, claims);

const SETTINGS = {
  answers: { publicOrigin: GATEWAY, scopes: [], denial: "jsonrpc" },
  wristbandHeader: "x-authorized-tools",
  maxBodyBytes: 256 * 1024,
} as const;

type TestServers = Readonly<Record<string, TestServer>>;

export async function startTestBroker(servers: TestServers, limits: BrokerLimits = {}): Promise<TestBroker> {
  const { maxSessions = 100, tls = null } = limits;
  const resolver = createResolver(Object.fromEntries(Object.keys(servers).map((name) => [name, `${name}_`])));
  const seen: Seen = { observed: [], log: [], dropped: 0, thinned: 0 };
  const test = { ahead: 0 };
  const monotonic = () => performance.now() + test.ahead;
  const now = () => Date.now() + test.ahead;
  const upstreams = upstreamsOf(servers);
  const sessions = createSessionPool({ maxSessions, idleMs: 60_000, monotonic });
  const parts = { eras: createEras(monotonic), sessions, findSchema: schemasOf(servers), now, monotonic };
  const relay = createRelay({ ...parts, ...recorder(seen), ...relayLimits(limits) });
  const held = heldBytesOf(limits);
  const broker: Broker = createBroker({
    address: { kind: "tcp", host: "127.0.0.1", port: 0 },
    tls,
    endpoints: endpointsOf(servers),
    ...SETTINGS,
    verify: verifierAt(now),
    view: (server, band) => ({ snapshot: NOTHING_LISTED, offers: null, server, wristband: band, now: now() }),
    calls: { resolver, upstreams },
    relay,
    held,
    observe: () => {},
  });
  const port = await broker.listen();
  return {
    port,
    observed: seen.observed,
    log: seen.log,
    seen,
    held: () => held.bytes,
    sessions: () => sessions.size,
    sweep: () => sessions.sweep(),
    get ahead() {
      return test.ahead;
    },
    set ahead(ms: number) {
      test.ahead = ms;
    },
    call: async (parts) => replyOf(await open(port, parts ?? {})),
    open: (parts) => open(port, parts ?? {}),
    leave: (parts, afterMs) => void open(port, parts, AbortSignal.timeout(afterMs)).catch(() => {}),
    async close(graceMs = 0) {
      await broker.close(graceMs);
      await sessions.close();
      upstreams.close();
    },
  };
}

const MIB = 1024 * 1024;

function relayLimits({ maxCallsPerCaller, maxCallsPerServer, notificationsPerSecond }: BrokerLimits) {
  return {
    maxCallsPerCaller: maxCallsPerCaller ?? 1000,
    maxCallsPerServer: maxCallsPerServer ?? 1000,
    notificationsPerSecond: notificationsPerSecond ?? 100,
  };
}

function endpointsOf(servers: TestServers): BrokerOptions["endpoints"] {
  const names = Object.keys(servers).map((name) => [name, { allowQuery: false }] as const);
  return endpointTable(GATEWAY, [], Object.fromEntries(names)).paths;
}

function verifierAt(now: () => number): BrokerOptions["verify"] {
  const verify = createVerifier({ issuer: GATEWAY, audience: "mcp-broker", findKey: () => PUBLIC_KEY, now });
  return (jws) => Promise.resolve(verify(jws));
}

function heldBytesOf({ heldBytesPerCaller, heldBytes }: BrokerLimits): HeldBytes {
  return createHeldBytes({ perCaller: heldBytesPerCaller ?? 32 * MIB, total: heldBytes ?? 128 * MIB });
}

function upstreamsOf(servers: TestServers): Upstreams {
  return createUpstreams(
    new Map(
      Object.entries(servers).map(([name, { url, timeoutMs = 2000, headers = ["authorization"] }]) => {
        const credentialHeaders = new Set(headers);
        return [name, { url, ca: null, timeoutMs, credentialHeaders, needsCredential: headers !== null }];
      }),
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

const KINDS: Readonly<Record<string, string>> = {
  "tools/call": "tools",
  "prompts/get": "prompts",
  "resources/read": "resources",
};

/** What Envoy sends to the broker for an allowed call of `echo` on server `s`, unless said otherwise. */
function arrivalOf(parts: CallParts): { path: string; headers: Record<string, string>; body: string } {
  const { server = "s", name = "echo", method = "tools/call", modern = false, path } = parts;
  const sent = path === "/mcp" ? `${server}_${name}` : name;
  const mirrors = { "mcp-protocol-version": "2026-07-28", "mcp-method": method, "mcp-name": sent };
  const body = parts.body ?? bodyOf(parts, method, sent);
  const isList = parts.claims?.["use"] === "list";
  const proof = { ...(!isList && { body: bodyDigest(Buffer.from(body)) }), ...parts.claims };
  const headers = Object.entries({
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    ...(modern && mirrors),
    "x-authorized-tools": wristband(claimsOf({ [KINDS[method] ?? ""]: { [server]: [name] }, ...proof })),
    "x-mcp-server": server,
    "x-upstream-authorization": CREDENTIAL,
    ...parts.headers,
  }).filter(([, value]) => value !== undefined);
  return {
    path: path ?? `/servers/${server}/mcp`,
    headers: Object.fromEntries(headers) as Record<string, string>,
    body,
  };
}

function bodyOf({ id = 1, modern = false, params }: CallParts, method: string, name: string): string {
  const member = method === "resources/read" ? "uri" : "name";
  const all = { [member]: name, ...(modern && { _meta: META }), ...params };
  return JSON.stringify({ jsonrpc: "2.0", id, method, params: all });
}

function open(port: number, parts: CallParts, signal?: AbortSignal): Promise<IncomingMessage> {
  const { path, headers, body } = arrivalOf(parts);
  return new Promise((done, fail) => {
    const options = { port, host: "127.0.0.1", method: "POST", path, headers, agent: false as const };
    const request = httpRequest({ ...options, ...(signal && { signal }) });
    request.on("response", done).on("error", fail);
    request.end(body);
  });
}

export async function replyOf(response: IncomingMessage): Promise<BrokerReply> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  const isStream = response.headers["content-type"] === "text/event-stream";
  const lines = (part: string) => part.split("\n").filter((line) => line.startsWith("data: "));
  const joined = (part: string) =>
    lines(part)
      .map((line) => line.slice(6))
      .join("\n");
  const data = isStream ? text.split("\n\n").map(joined) : [text];
  const messages = data.filter((line) => line !== "").map((line) => JSON.parse(line) as Record<string, unknown>);
  return { status: response.statusCode ?? 0, headers: response.headers, text, messages };
}

/** The reason of a refusal. */
export function reasonOf(message: Record<string, unknown> | undefined): unknown {
  return (message?.["error"] as { data?: { reason?: unknown } } | undefined)?.data?.reason;
}
