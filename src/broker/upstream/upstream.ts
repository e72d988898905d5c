// One MCP server behind the broker: one pool of connections, and the only reading of its configured URL. I/O.
import type { Secret } from "../../secret/secret.ts";
import { createHttpClient, type HttpRequest, type HttpResponse } from "../../http/client.ts";
import { partsOf } from "../../http/url.ts";
import { limitConnections, type Send } from "./connection-limit.ts";

/** A server as the configuration describes it. */
export interface UpstreamSettings {
  readonly url: string;
  /** PEM; null for the system's CAs. */
  readonly ca: Buffer | null;
  /** Milliseconds that the server may be silent during a call; also bounds a whole listing. */
  readonly timeoutMs: number;
  /** Headers that the credential chain may fill. */
  readonly credentialHeaders: ReadonlySet<string>;
  /** False only if the chain ends in `none`: then a call may come without a credential. */
  readonly needsCredential: boolean;
}

/** Sends requests to the URL of a server, its path and query byte for byte as configured. */
export interface UpstreamConnections {
  /** Resolves with the head of the response, whose body must be read or destroyed. @throws {HttpFault} */
  request(request: Omit<HttpRequest, "path">): Promise<HttpResponse>;
}

/** A server behind the broker. Calls have connections of their own kind; lists cannot take them. */
export interface Upstream extends Omit<UpstreamSettings, "url" | "ca">, UpstreamConnections {
  readonly name: string;
  /** For lists: calls cannot take these. */
  readonly lists: UpstreamConnections;
}

/** The header that a server receives in place of the caller's token: its name and its whole value. */
export interface UpstreamCredential {
  readonly header: string;
  readonly value: Secret;
}

export interface Upstreams {
  get(server: string): Upstream | undefined;
  close(): void;
}

/** Each relayed call takes one while it lasts, a stream until its end. */
const CALL_CONNECTIONS = 1024;
/** A listing sends one request at a time; the other one ends its session. */
const LIST_CONNECTIONS = 2;

export function createUpstreams(servers: ReadonlyMap<string, UpstreamSettings>): Upstreams {
  const upstreams = new Map<string, Upstream>();
  const pools: { close(): void }[] = [];
  for (const [name, { url, ca, ...settings }] of servers) {
    const { origin, path } = partsOf(url);
    const pool = createHttpClient({ origin, ca, maxConnections: CALL_CONNECTIONS + LIST_CONNECTIONS });
    pools.push(pool);
    const calls = connectionsTo(path, limitConnections(pool.open, CALL_CONNECTIONS));
    const lists = connectionsTo(path, limitConnections(pool.open, LIST_CONNECTIONS));
    upstreams.set(name, { ...settings, ...calls, name, lists });
  }
  return {
    get: (server) => upstreams.get(server),
    close() {
      for (const pool of pools) pool.close();
    },
  };
}

function connectionsTo(path: string, send: Send): UpstreamConnections {
  return { request: (request) => send({ ...request, path }) };
}

/** The only place where a credential leaves for its server. */
export function credentialHeader(credential: UpstreamCredential | null): Record<string, string> {
  return credential === null ? {} : { [credential.header]: credential.value.reveal() };
}
