// The fast wire stack: the ext_authz gRPC service on node:http2 (decision record 002). I/O.
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from "node:http2";
import type { Socket } from "node:net";
import { isExpectedClient, type ClientNames } from "../../http/client-certificate.ts";
import { listen, type ListenAddress } from "../../http/listen.ts";
import { respond, respondHttp, respondStatus, GRPC_STATUS, isOpen, readMessage, parseTimeout } from "./message.ts";
import { HEALTH_METHODS, type Health } from "./health.ts";
import type { CheckHandler } from "../check-handler.ts";

export type TlsMaterial = { readonly key: Buffer; readonly cert: Buffer } & ClientNames;

export interface GrpcServerOptions {
  readonly address: ListenAddress;
  readonly tls: TlsMaterial | null;
  readonly handler: CheckHandler;
  /** CheckResponse for a client whose certificate has none of the names. */
  readonly unknownClientResponse: () => Buffer;
  readonly checkTimeoutMs: number;
}

export interface GrpcServer {
  /** Resolves with the port (0 for a socket). */
  listen(): Promise<number>;
  setServing(serving: boolean): void;
  /** Takes new certificates, for connections from now on. */
  setTls(material: TlsMaterial): void;
  /** Accepts no more calls, waits for those in flight, and ends the rest after `ms`. */
  drain(ms: number): Promise<void>;
}

const CHECK_PATH = "/envoy.service.auth.v3.Authorization/Check";
/** Far above what Envoy sends (1 MiB of body and its headers): Envoy's own limit binds first. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
/** The share of `grpc-timeout` that we use: after it Envoy's failure mode decides, not we (threat model: M4). */
const SHARE_OF_DEADLINE = 0.8;
const WINDOW_BYTES = 1024 * 1024;
/** A call without one whole message is refused like an empty CheckRequest. */
const NO_MESSAGE: Buffer = Buffer.alloc(0);

/**
 * Envoy's connections are few and live long. Envoy resets calls whose client left or whose time is over; with Node's default
 * limits on RST_STREAM a burst of these would close the connection with every other call on it.
 */
const HTTP2: ServerOptions = {
  maxSessionMemory: 1024,
  streamResetBurst: 10_000,
  streamResetRate: 10_000,
  settings: { maxConcurrentStreams: 4096, initialWindowSize: WINDOW_BYTES },
};
/** TCP keep-alive: finds peers that vanished without FIN. */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 };
const HANDSHAKE_MS = 5000;

/** A Check never ends in a gRPC error (threat model: M2): what cannot be read is refused by the handler. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const health: Health = { serving: true };
  const open: OpenConnections = { sessions: new Set(), sockets: new Set() };
  const { tls } = options;
  const secure =
    tls === null ? null : createSecureServer({ ...HTTP2, ...KEEP_ALIVE, ...contextOf(tls), ...clientsOf(tls) });
  const server = secure ?? createServer({ ...HTTP2, ...KEEP_ALIVE });
  server.on("connection", (socket: Socket) => {
    open.sockets.add(socket);
    socket.on("close", () => open.sockets.delete(socket));
  });
  server.on("session", (session) => {
    open.sessions.add(session);
    session.setLocalWindowSize(WINDOW_BYTES * 16);
    session.on("close", () => open.sessions.delete(session));
    session.on("error", () => session.destroy());
  });
  const isExpected = clientCertificateCheck(tls);
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {}); // the client is gone; the handler learns it from `onGone`
    dispatch({ options, health, isExpected }, stream, headers);
  });
  return {
    listen: () => listen(server, "listen.authz", options.address),
    setServing: (serving) => {
      health.serving = serving;
    },
    setTls: (material) => secure?.setSecureContext(contextOf(material)),
    drain: (ms) => {
      health.serving = false;
      return drain(server, open, ms);
    },
  };
}

function contextOf({ key, cert, clientCa }: TlsMaterial) {
  return { key, cert, ...(clientCa !== null && { ca: clientCa }) };
}

/** Fixed at the start: a new secure context does not change whether clients must show a certificate. */
function clientsOf({ clientCa }: TlsMaterial) {
  return { requestCert: clientCa !== null, rejectUnauthorized: clientCa !== null, handshakeTimeout: HANDSHAKE_MS };
}

/** True for a client whose certificate has one of the names; looked up once per connection. */
function clientCertificateCheck(tls: TlsMaterial | null): (stream: ServerHttp2Stream) => boolean {
  if (tls === null) return () => true;
  const known = new WeakMap<object, boolean>();
  return ({ session }) => {
    if (session === undefined) return false;
    let expected = known.get(session);
    if (expected === undefined) known.set(session, (expected = isExpectedClient(tls, session.socket)));
    return expected;
  };
}

/** To be closed at the end. */
interface OpenConnections {
  readonly sessions: Set<ServerHttp2Session>;
  readonly sockets: Set<Socket>;
}

interface ServerContext {
  readonly options: GrpcServerOptions;
  readonly health: Health;
  readonly isExpected: (stream: ServerHttp2Stream) => boolean;
}

function dispatch(context: ServerContext, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const path = headers[":path"] ?? "";
  if (headers[":method"] !== "POST") respondHttp(stream, 405);
  else if (!/^application\/grpc(?:[+;]|$)/.test(headers["content-type"] ?? "")) respondHttp(stream, 415);
  else if (path === CHECK_PATH) check(context, stream, headers);
  else {
    const method = HEALTH_METHODS.get(path);
    if (method === undefined) respondStatus(stream, GRPC_STATUS.unimplemented, "unknown method");
    else method(context.health, stream);
  }
}

function check({ options, isExpected }: ServerContext, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const { handler, unknownClientResponse, checkTimeoutMs } = options;
  if (!isExpected(stream)) {
    respond(stream, unknownClientResponse());
    return;
  }
  const arrived = performance.now();
  const timeoutMs = Math.min(
    checkTimeoutMs,
    parseTimeout(headers["grpc-timeout"] as string | undefined) * SHARE_OF_DEADLINE,
  );
  readMessage(stream, { maxBytes: MAX_MESSAGE_BYTES, timeoutMs }, (message) => {
    const deadlineMs = timeoutMs - (performance.now() - arrived);
    // `close` comes after a normal response too; the handler ignores it then.
    const onGone = (listener: () => void) => {
      if (isOpen(stream)) stream.on("close", listener);
      else listener();
    };
    handler(message ?? NO_MESSAGE, { deadlineMs, onGone }).then(
      (bytes) => respond(stream, bytes),
      () => respond(stream, unknownClientResponse()),
    );
  });
}

async function drain(server: Http2Server | Http2SecureServer, open: OpenConnections, ms: number): Promise<void> {
  const closed = new Promise<void>((done) => server.close(() => done()));
  for (const session of open.sessions) session.close();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((done) => {
    timer = setTimeout(done, ms);
  });
  await Promise.race([closed, late]);
  clearTimeout(timer);
  // Session.destroy() would wait for the peer; a connection in its TLS handshake has no session yet.
  for (const socket of open.sockets) socket.destroy();
  await closed;
}
