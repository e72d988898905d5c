// The operator listener: health, metrics, keys. Plain HTTP/1.1 or TLS 1.3, GET and HEAD, exact paths.
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { isExpectedClient } from "../http/client-certificate.ts";
import { listen, type ListenAddress } from "../http/listen.ts";
import type { TlsMaterial } from "../files/tls.ts";

export interface OpsResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly etag?: string;
}

export interface OpsServerOptions {
  readonly name: string;
  readonly address: ListenAddress;
  readonly tls: TlsMaterial | null;
  /** Exact paths. */
  readonly routes: Readonly<Record<string, (request: IncomingMessage) => OpsResponse | Promise<OpsResponse>>>;
}

export interface OpsServer {
  listen(): Promise<number>;
  /** New certificates for new connections; open ones go on. */
  setTls(material: TlsMaterial): void;
  close(): Promise<void>;
}

const NOT_FOUND: OpsResponse = { status: 404, contentType: "text/plain", body: "not found\n" };
const FAILED: OpsResponse = { status: 500, contentType: "text/plain", body: "failed\n" };
const FORBIDDEN: OpsResponse = { status: 403, contentType: "text/plain", body: "forbidden\n" };

export function createOpsServer(options: OpsServerOptions): OpsServer {
  const routes = new Map(Object.entries(options.routes));
  const listener: RequestListener = (request, response) => {
    void respond(options, routes, request).then((answer) => send(response, request, answer));
  };
  const limits = { maxHeaderSize: 16 * 1024, requestTimeout: 10_000, headersTimeout: 5_000 };
  const { tls } = options;
  if (tls === null) return running(createServer(limits, listener), options, () => {});
  const server = createTlsServer({ ...limits, ...contextOf(tls), requestCert: tls.clientCa !== null }, listener);
  return running(server, options, (material) => server.setSecureContext(contextOf(material)));
}

function running(server: Server | TlsServer, options: OpsServerOptions, setTls: OpsServer["setTls"]): OpsServer {
  return {
    listen: () => listen(server, `listen.${options.name}`, options.address),
    setTls,
    close: () => close(server),
  };
}

function contextOf({ key, cert, clientCa }: TlsMaterial) {
  return { key, cert, minVersion: "TLSv1.3" as const, ...(clientCa !== null && { ca: clientCa }) };
}

async function respond(
  { tls }: OpsServerOptions,
  routes: ReadonlyMap<string, (request: IncomingMessage) => OpsResponse | Promise<OpsResponse>>,
  request: IncomingMessage,
): Promise<OpsResponse> {
  if (tls !== null && !isExpectedClient(tls, request.socket)) return FORBIDDEN;
  const route = routes.get(request.url ?? "");
  if (route === undefined) return NOT_FOUND;
  if (request.method !== "GET" && request.method !== "HEAD")
    return { status: 405, contentType: "text/plain", body: "GET only\n" };
  try {
    return await route(request);
  } catch {
    return FAILED;
  }
}

function send(
  response: ServerResponse,
  request: IncomingMessage,
  { status, contentType, body, etag }: OpsResponse,
): void {
  response.writeHead(status, {
    "content-type": contentType,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(status === 405 && { allow: "GET, HEAD" }),
    ...(etag !== undefined && { etag }),
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

function close(server: Server): Promise<void> {
  return new Promise((done) => {
    server.close(() => done());
    server.closeAllConnections();
  });
}
