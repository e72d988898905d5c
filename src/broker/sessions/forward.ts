// Hands a request to the replica that owns its session, and the response back, as it comes. I/O.
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { pass, refuse, type Step } from "../../authz/step.ts";
import { createHttpClient, type HttpClient, type HttpResponse } from "../../http/client.ts";
import { faultOf } from "../../http/fault.ts";

/** One request, its body (null for none), and its response. */
export interface Forwarded {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: Buffer | null;
}

export interface Forwarder {
  /**
   * Resolves once the client has its response. Refuses with `session_unknown` where the owner cannot be reached: what belongs
   * to the session is gone with it.
   */
  forward(owner: string, forwarded: Forwarded): Promise<Step<null>>;
  close(): void;
}

export interface ForwarderOptions {
  /** How owners are spoken to; null where the listener has no TLS. */
  readonly tls: ForwarderTls | null;
  /** Receives the code of each fault. */
  readonly onFault: (code: string) => void;
}

export interface ForwarderTls {
  /** PEM of the CA of owners' certificates; null for the system's. */
  readonly ca: Buffer | null;
  /** Shown to owners that ask for a certificate. */
  readonly client: { readonly cert: Buffer; readonly key: Buffer };
  /** The name in owners' certificates; null for the host of their address. */
  readonly serverName: string | null;
}

/** Marks a forwarded request: it is never forwarded again. It opens nothing: the owner verifies all that it verifies else. */
export const FORWARDED = "x-mcp-forwarded";
/** Headers of one connection (RFC 9110 §7.6.1), and those that are written anew. */
const HOP_BY_HOP = new Set([
  ...["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"],
  ...["host", "content-length", "expect", "date", FORWARDED],
]);
/** Lists, in which several lines are one (RFC 9110 §5.3). Any other header that came twice is refused: joined it would be another. */
const LISTS = new Set(["accept", "accept-encoding", "accept-language", "cache-control", "via", "x-forwarded-for"]);
/** Each stream holds one; as many as a broker accepts. */
const MAX_CONNECTIONS = 16_384;
/** Replicas, with room for those of a rollout. */
const MAX_OWNERS = 64;

export function createForwarder({ tls, onFault }: ForwarderOptions): Forwarder {
  const clients = new Map<string, HttpClient>();

  function clientOf(owner: string): HttpClient {
    const known = clients.get(owner);
    if (known !== undefined) return known;
    const [oldest] = clients;
    if (clients.size >= MAX_OWNERS && oldest !== undefined) {
      oldest[1].close();
      clients.delete(oldest[0]);
    }
    const client = createHttpClient({
      origin: `${tls === null ? "http" : "https"}://${owner}`,
      ca: tls?.ca ?? null,
      maxConnections: MAX_CONNECTIONS,
      name: "owner",
      ...(tls !== null && { certificate: tls.client, serverName: tls.serverName }),
    });
    clients.set(owner, client);
    return client;
  }

  return {
    async forward(owner, { request, response, body }) {
      // A second hop would be a mistake of the configuration, and could have no end.
      if (request.headers[FORWARDED] !== undefined || !/^[^:/]+:\d+$|^\[[0-9a-f:]+\]:\d+$/i.test(owner))
        return refuse("session_unknown", "not the owner");
      const headers = forwardedHeaders(request.headersDistinct);
      if (headers === null) return refuse("header_malformed", "twice");
      const left = new AbortController();
      response.once("close", () => left.abort());
      const { method = "GET", url: path = "/" } = request;
      let answer: HttpResponse;
      try {
        answer = await clientOf(owner).open({ method, path, headers, body, signal: left.signal });
      } catch (error) {
        onFault(faultOf(error).code);
        return refuse("session_unknown", "its owner cannot be reached");
      }
      response.writeHead(answer.statusCode, withoutHops(answer.headers)).flushHeaders();
      // One that breaks off breaks off for the client too.
      await pipeline(answer, response).catch(() => response.destroy());
      return pass(null);
    },
    close() {
      for (const client of clients.values()) client.close();
    },
  };
}

function forwardedHeaders(headers: IncomingMessage["headersDistinct"]): Record<string, string> | null {
  const forwarded: Record<string, string> = { [FORWARDED]: "1" };
  for (const [name, copies = []] of Object.entries(headers)) {
    if (HOP_BY_HOP.has(name)) continue;
    if (copies.length !== 1 && !LISTS.has(name)) return null;
    forwarded[name] = copies.join(", ");
  }
  return forwarded;
}

function withoutHops(headers: HttpResponse["headers"]): Record<string, string> {
  const kept = Object.entries(headers).filter(
    (header): header is [string, string] => header[1] !== undefined && !HOP_BY_HOP.has(header[0]),
  );
  return Object.fromEntries(kept);
}
