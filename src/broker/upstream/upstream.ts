// One MCP server behind the broker: one pool of connections, and the only reading of its configured URL. I/O.
import { isDeepStrictEqual } from "node:util";
import { later } from "../../async/later.ts";
import { destinationOf } from "../../authz/destination.ts";
import { parameterOf } from "../../authz/credential-parts.ts";
import type { HeaderPart } from "../../authz/types.ts";
import { createHttpClient, type HttpClient, type HttpRequest, type HttpResponse } from "../../http/client.ts";
import { partsOf } from "../../http/url.ts";
import { limitConnections } from "./connection-limit.ts";
import { createTransportMemory, isChannel, withHttpSse } from "./http-sse.ts";

/** A server as the configuration describes it. */
export interface UpstreamSettings {
  readonly url: string;
  /** PEM; null for the system's CAs. */
  readonly ca: Buffer | null;
  /** Milliseconds that the server may be silent during a call; also bounds a whole listing. */
  readonly timeoutMs: number;
  /** Bytes of the longest answer to a call, and of the longest event. */
  readonly maxResponseBytes: number;
  /** Headers that the credential chain may fill. */
  readonly credentialHeaders: ReadonlySet<string>;
  /** Who shares a session with it: calls of one session of a client (without one: of one client), or of one caller. */
  readonly sessions: "client" | "caller";
  /** False only if the chain ends in `none`: then a call may come without a credential. */
  readonly needsCredential: boolean;
  /** With every request, whoever sends it. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Names of the client's headers that pass. */
  readonly passHeaders?: ReadonlySet<string>;
}

/**
 * Sends requests to the URL of a server, its path and query byte for byte as configured. They are those of streamable HTTP, of
 * either era; a server that has HTTP+SSE only gets them in its own way.
 */
export interface UpstreamConnections {
  /** Milliseconds for the answer to the probe of the era: the handshake must have time after it. */
  readonly probeMs: number;
  /** Resolves with the head of the response, whose body must be read or destroyed. @throws {HttpFault} */
  request(request: Omit<HttpRequest, "path">): Promise<HttpResponse>;
}

/** A server behind the broker. Calls have connections of their own kind; lists cannot take them. */
export interface Upstream extends Omit<UpstreamSettings, "url" | "ca" | "headers">, UpstreamConnections {
  readonly name: string;
  /** What its credentials must be meant for (authz/destination.ts). */
  readonly destination: string;
  /** The client's headers that go with each request, her session's too: another set is another session. */
  readonly passed: Readonly<Record<string, string>>;
  /** For lists: calls cannot take these. */
  readonly lists: UpstreamConnections;
  /** For the streams of sessions: calls and lists cannot take these, nor they those. */
  readonly streams: UpstreamConnections;
  /** For the stream that tells of changes. */
  readonly listening: UpstreamConnections;
}

/** What a server receives in place of the caller's token: headers with their whole values, or a parameter of the query. */
export interface UpstreamCredential extends HeaderPart {
  readonly more?: readonly HeaderPart[];
  /** What tells sessions apart where values change with each call; null for the values. */
  readonly session?: string | null;
}

export interface Upstreams {
  get(server: string): Upstream | undefined;
  /**
   * Takes other servers. One whose settings are the same keeps its connections; one that has changed gets new ones, and the old
   * ones end with their last call.
   * @returns the names of those that are new or have changed
   */
  apply(servers: ReadonlyMap<string, UpstreamSettings>): ReadonlySet<string>;
  close(): void;
}

/** Each relayed call takes one while it lasts, a stream until its end. */
const CALL_CONNECTIONS = 1024;
/** A listing sends one request at a time; the other one ends its session. */
const LIST_CONNECTIONS = 2;
/** A stream, and an answer to a request that came on it. */
const LISTENING_CONNECTIONS = 2;
const PROBE_MS = 5000;
/** Streams of HTTP+SSE, one for each session; apart from them each call takes a connection for its POST alone. */
const CALL_STREAMS = 512;
/** One for each session of a client who listens; further ones wait. */
const SESSION_STREAMS = 4096;
/** A listing that has not ended its stream yet, and the next. */
const LIST_STREAMS = 2;
/** Incomplete events of all streams of one server. */
const STREAM_BYTES = 64 * 1024 * 1024;

/** Longest time that the connections of a server which has changed, or is not there any more, outlive the change. */
const DRAIN_MS = 15 * 60_000;

export function createUpstreams(servers: ReadonlyMap<string, UpstreamSettings>): Upstreams {
  let opened = new Map<string, OpenedUpstream>();
  const draining = new Set<HttpClient>();
  const drain = (pool: HttpClient) => {
    draining.add(pool);
    pool.drain();
    later(() => {
      draining.delete(pool);
      pool.close();
    }, DRAIN_MS);
  };
  const apply = (next: ReadonlyMap<string, UpstreamSettings>) => {
    const before = opened;
    const changed = new Set<string>();
    opened = new Map();
    for (const [name, settings] of next) {
      const known = before.get(name);
      const isSame = known !== undefined && isDeepStrictEqual(known.settings, settings);
      opened.set(name, isSame ? known : openUpstream(name, settings));
      if (!isSame) changed.add(name);
    }
    for (const [name, { pool }] of before) if (opened.get(name)?.pool !== pool) drain(pool);
    return changed;
  };
  apply(servers);
  return {
    get: (server) => opened.get(server)?.upstream,
    apply,
    close() {
      for (const pool of [...draining, ...[...opened.values()].map((one) => one.pool)]) pool.close();
    },
  };
}

interface OpenedUpstream {
  readonly settings: UpstreamSettings;
  readonly pool: HttpClient;
  readonly upstream: Upstream;
}

function openUpstream(name: string, whole: UpstreamSettings): OpenedUpstream {
  const { url, ca, headers = {}, ...settings } = whole;
  const { origin, path } = partsOf(url);
  const maxConnections = CALL_CONNECTIONS + CALL_STREAMS + 2 * (LIST_CONNECTIONS + LIST_STREAMS) + SESSION_STREAMS;
  const pool = createHttpClient({ origin, ca, maxConnections, name });
  const openOne = withQuery(pool.open);
  const memory = createTransportMemory(() => performance.now());
  const maxBytes = settings.maxResponseBytes;
  const shared = { used: 0, max: Math.max(STREAM_BYTES, 2 * maxBytes) };
  const connections = (max: number, maxChannels: number): UpstreamConnections => {
    const [send, stream] = [limitConnections(openOne, max), limitConnections(openOne, maxChannels)];
    const request = withHttpSse({ url, path, send, stream, maxChannels, memory, maxBytes, shared });
    return withHeaders({ request, probeMs: Math.min(PROBE_MS, Math.ceil(settings.timeoutMs / 3)) }, headers);
  };
  const lists = connections(LIST_CONNECTIONS, LIST_STREAMS);
  const calls = connections(CALL_CONNECTIONS, CALL_STREAMS);
  const open = limitConnections(openOne, SESSION_STREAMS);
  const listen: UpstreamConnections["request"] = (request) =>
    isChannel(request.headers["mcp-session-id"]) ? calls.request(request) : open({ ...request, path });
  const streams = withHeaders({ probeMs: calls.probeMs, request: listen }, headers);
  const listening = connections(LISTENING_CONNECTIONS, LIST_STREAMS);
  const own = { name, destination: destinationOf(url), passed: {} };
  return { settings: whole, pool, upstream: { ...settings, ...calls, ...own, lists, streams, listening } };
}

/** Adds headers to every request: none of the protocol's or of a credential has such a name. */
function withHeaders(upstream: UpstreamConnections, more: Readonly<Record<string, string>>): UpstreamConnections {
  const { request, probeMs } = upstream;
  return { probeMs, request: (one) => request({ ...one, headers: { ...one.headers, ...more } }) };
}

/** The server as one client reaches it, with her headers on every request: a session may read them at its beginning only. */
export function passing(upstream: Upstream, passed: Readonly<Record<string, string>>): Upstream {
  if (Object.keys(passed).length === 0) return upstream;
  return { ...upstream, ...withHeaders(upstream, passed), streams: withHeaders(upstream.streams, passed), passed };
}

/** The only place where a credential leaves for its server. */
export function credentialHeader(credential: UpstreamCredential | null): Record<string, string> {
  if (credential === null) return {};
  const parts = [credential, ...(credential.more ?? [])];
  return Object.fromEntries(parts.map(({ header, value }) => [header, value.reveal()]));
}

/** Text that tells credentials apart, for keys that are hashed. */
export function credentialKey(credential: UpstreamCredential | null): readonly (string | readonly string[])[] {
  return typeof credential?.session === "string"
    ? ["session", credential.session]
    : Object.entries(credentialHeader(credential));
}

/** Sends what stands in the query there: behind the path, however that came about. */
function withQuery(open: HttpClient["open"]): HttpClient["open"] {
  return (request) => {
    const entries = Object.entries(request.headers);
    const query = entries.flatMap(([place, value]) => {
      const name = parameterOf(place);
      return name === null ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`];
    });
    if (query.length === 0) return open(request);
    const headers = Object.fromEntries(entries.filter(([place]) => parameterOf(place) === null));
    const path = `${request.path}${request.path.includes("?") ? "&" : "?"}${query.join("&")}`;
    return open({ ...request, path, headers });
  };
}
