import { chmodSync, lstatSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { TLSSocket } from "node:tls";
import type { TlsMaterial } from "./tls-files.ts";

export interface OpsAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly etag?: string;
}

export interface OpsServerOptions {
  readonly name: string;
  readonly address:
    | { readonly kind: "tcp"; readonly host: string; readonly port: number }
    | { readonly kind: "unix"; readonly path: string };
  readonly tls: TlsMaterial | null;
  /** Exact paths. */
  readonly routes: Readonly<Record<string, (request: IncomingMessage) => OpsAnswer | Promise<OpsAnswer>>>;
}

export interface OpsServer {
  listen(): Promise<number>;
  /** Takes new certificates, for connections from now on. */
  setTls(material: TlsMaterial): void;
  close(): Promise<void>;
}

const NOT_FOUND: OpsAnswer = { status: 404, contentType: "text/plain", body: "not found\n" };
const FAILED: OpsAnswer = { status: 500, contentType: "text/plain", body: "failed\n" };
const FORBIDDEN: OpsAnswer = { status: 403, contentType: "text/plain", body: "forbidden\n" };

/** Health, metrics and keys, for operators only: a listener of its own, GET and HEAD, exact paths. */
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
  return { listen: () => listen(server, options), setTls, close: () => close(server) };
}

function contextOf({ key, cert, clientCa }: TlsMaterial) {
  return { key, cert, minVersion: "TLSv1.3" as const, ...(clientCa !== null && { ca: clientCa }) };
}

async function respond(
  { tls }: OpsServerOptions,
  routes: ReadonlyMap<string, (request: IncomingMessage) => OpsAnswer | Promise<OpsAnswer>>,
  request: IncomingMessage,
): Promise<OpsAnswer> {
  if (tls !== null && !isExpectedClient(tls, request.socket as TLSSocket)) return FORBIDDEN;
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

function isExpectedClient(tls: TlsMaterial, socket: TLSSocket): boolean {
  if (tls.clientCa === null) return true;
  if (!socket.authorized) return false;
  if (tls.clientSans.length === 0) return true;
  const names = (socket.getPeerCertificate().subjectaltname ?? "")
    .split(", ")
    .map((entry) => /^(?:DNS|URI):([^"]*)$/.exec(entry)?.[1]);
  return names.some((name) => name !== undefined && tls.clientSans.includes(name));
}

function send(
  response: ServerResponse,
  request: IncomingMessage,
  { status, contentType, body, etag }: OpsAnswer,
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

function listen(server: Server, { address, name }: OpsServerOptions): Promise<number> {
  if (address.kind === "unix") removeStaleSocket(address.path);
  return new Promise((done, fail) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const where = address.kind === "unix" ? address.path : `${address.host}:${address.port}`;
      const why = error.code === "EADDRINUSE" ? "another program listens there" : (error.code ?? error.message);
      fail(new Error(`listen.${name}: cannot listen on ${where}: ${why}`));
    });
    const listening = () => {
      if (address.kind === "unix") chmodSync(address.path, 0o660);
      const bound = server.address();
      done(typeof bound === "object" && bound !== null ? bound.port : 0);
    };
    if (address.kind === "unix") server.listen(address.path, listening);
    else server.listen(address.port, address.host, listening);
  });
}

function removeStaleSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) rmSync(path);
  } catch {
    // Not there: nothing to remove.
  }
}

function close(server: Server): Promise<void> {
  return new Promise((done) => {
    server.close(() => done());
    server.closeAllConnections();
  });
}
