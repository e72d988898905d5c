// One set-up for every listener of ours: TLS 1.3 at least, client certificates by name, limits, an orderly end. I/O.
import {
  createServer as createPlainServer,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { SecureContextOptions, TlsOptions } from "node:tls";
import { isExpectedClient, type ClientNames } from "./client-certificate.ts";
import { listen, type ListenAddress } from "./listen.ts";

/** Contents of a listener's TLS files. Null for a listener without TLS. */
export interface TlsMaterial extends ClientNames {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/** Milliseconds and bytes, as Node names them. */
export interface ServerLimits extends Pick<
  ServerOptions,
  "maxHeaderSize" | "headersTimeout" | "requestTimeout" | "keepAliveTimeout"
> {
  readonly maxConnections?: number;
  /** Milliseconds that a connection may be silent, also in the midst of a response. */
  readonly silenceMs?: number;
}

export interface HttpServer {
  /** @param key of the configuration, for messages. Resolves with the port, 0 for a socket */
  listen(key: string, address: ListenAddress): Promise<number>;
  /** Takes new certificates, for connections from now on. Whether clients must show one is settled at the start. */
  setTls(material: TlsMaterial): void;
  /** True if the client has shown a certificate with one of the names, or if none is asked for. */
  isExpected(socket: Socket): boolean;
  /** From now on each response ends its connection, so that a client sends nothing more on one when `close` comes. */
  leave(): void;
  /** Takes no more; requests under way may end within the grace. @param onLate told when it is over, so that they can be answered */
  close(graceMs: number, onLate?: () => void): Promise<void>;
}

/** For responses that are still on their way when the grace is over. */
const FLUSH_GRACE_MS = 200;
/** Of a TLS handshake, from the first byte of the connection. */
const HANDSHAKE_MS = 5000;

/** The certificate that a listener shows and the CA that it trusts: for a server, and for its `setSecureContext`. */
export function tlsContext({ key, cert, clientCa }: TlsMaterial): SecureContextOptions {
  return { key, cert, minVersion: "TLSv1.3", ...(clientCa !== null && { ca: clientCa }) };
}

/** The options of a TLS server, of any protocol. */
export function tlsOptions(tls: TlsMaterial): TlsOptions {
  const isAsked = tls.clientCa !== null;
  return { ...tlsContext(tls), requestCert: isAsked, rejectUnauthorized: isAsked, handshakeTimeout: HANDSHAKE_MS };
}

export function createTlsOrPlainServer(
  { maxConnections, silenceMs, ...limits }: ServerLimits,
  tls: TlsMaterial | null,
  listener: RequestListener,
): HttpServer {
  const last = lastResponses();
  const each: RequestListener = (request, response) => {
    last.note(response);
    listener(request, response);
  };
  const secure = tls === null ? null : createTlsServer({ ...limits, ...tlsOptions(tls) }, each);
  const server = secure ?? createPlainServer(limits, each);
  if (maxConnections !== undefined) server.maxConnections = maxConnections;
  if (silenceMs !== undefined) server.setTimeout(silenceMs);
  return {
    listen: (key, address) => listen(server, key, address),
    setTls: (material) => secure?.setSecureContext(tlsContext(material)),
    isExpected: (socket) => tls === null || isExpectedClient(tls, socket),
    leave: last.leave,
    close: (graceMs, onLate = () => {}) => close(server, graceMs, onLate),
  };
}

/** Says `connection: close` with each response once the server leaves, also where the request came before. */
function lastResponses() {
  const open = new Set<ServerResponse>();
  let isLeaving = false;
  return {
    note(response: ServerResponse) {
      if (isLeaving) response.shouldKeepAlive = false;
      open.add(response);
      response.once("close", () => open.delete(response));
    },
    leave() {
      isLeaving = true;
      for (const response of open) response.shouldKeepAlive = false;
    },
  };
}

function close(server: Server, graceMs: number, onLate: () => void): Promise<void> {
  return new Promise((done) => {
    let flush: NodeJS.Timeout | undefined;
    const grace = setTimeout(() => {
      onLate();
      flush = setTimeout(() => server.closeAllConnections(), FLUSH_GRACE_MS);
    }, graceMs);
    server.close(() => {
      clearTimeout(grace);
      clearTimeout(flush);
      done();
    });
    server.closeIdleConnections();
  });
}
