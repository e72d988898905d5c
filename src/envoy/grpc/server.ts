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
import { answer, answerHttp, answerStatus, GRPC_STATUS, isThere, readMessage, timeoutMs } from "./message.ts";
import { HEALTH_METHODS, type Health } from "./health.ts";
import type { Handler } from "../check-handler.ts";

export type TlsMaterial = { readonly key: Buffer; readonly cert: Buffer } & ClientNames;

export interface GrpcServerOptions {
  readonly address: ListenAddress;
  readonly tls: TlsMaterial | null;
  readonly handler: Handler;
  /** Answer of a Check whose client certificate has none of the names. */
  readonly strangerAnswer: () => Buffer;
  readonly checkTimeoutMs: number;
}

export interface GrpcServer {
  /** Resolves with the port (0 for a socket). */
  listen(): Promise<number>;
  setServing(serving: boolean): void;
  /** Takes new certificates, for connections from now on. */
  setTls(material: TlsMaterial): void;
  /** Stops taking calls, waits for those under way, and ends the rest after `ms`. */
  drain(ms: number): Promise<void>;
}

const CHECK_PATH = "/envoy.service.auth.v3.Authorization/Check";
/** Far above what Envoy sends (1 MiB of body and its headers): the real limit is Envoy's. */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
/** We answer before Envoy gives up: after that its failure mode decides, not we (M4). */
const SHARE_OF_DEADLINE = 0.8;
const WINDOW_BYTES = 1024 * 1024;
/** What no message can be read from is refused like a message that says nothing. */
const NO_MESSAGE: Buffer = Buffer.alloc(0);

/**
 * Envoy's connections are few and live long. It resets a call whose client left or whose time is over, and Node would
 * take many of these for an attack and close the connection with every other call on it.
 */
const HTTP2: ServerOptions = {
  maxSessionMemory: 1024,
  streamResetBurst: 10_000,
  streamResetRate: 10_000,
  settings: { maxConcurrentStreams: 4096, initialWindowSize: WINDOW_BYTES },
};
/** Finds out about peers that vanished without a word. */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 };
const HANDSHAKE_MS = 5000;

/**
 * The ext_authz gRPC service: bytes to the handler and back. A Check never ends in a gRPC error (M2). Node's HTTP/2
 * carries it, at a third of the CPU that a general gRPC server takes (decision record 002).
 */
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
  const isExpected = createDoor(tls);
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {}); // the client is gone: its Check has its record
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

/** Whether clients must show a certificate is settled at the start. */
function clientsOf({ clientCa }: TlsMaterial) {
  return { requestCert: clientCa !== null, rejectUnauthorized: clientCa !== null, handshakeTimeout: HANDSHAKE_MS };
}

/** Looks at each connection's certificate once. */
function createDoor(tls: TlsMaterial | null): (stream: ServerHttp2Stream) => boolean {
  if (tls === null) return () => true;
  const known = new WeakMap<object, boolean>();
  return ({ session }) => {
    if (session === undefined) return false;
    let expected = known.get(session);
    if (expected === undefined) known.set(session, (expected = isExpectedClient(tls, session.socket)));
    return expected;
  };
}

/** What must be closed at the end. */
interface OpenConnections {
  readonly sessions: Set<ServerHttp2Session>;
  readonly sockets: Set<Socket>;
}

interface Desk {
  readonly options: GrpcServerOptions;
  readonly health: Health;
  readonly isExpected: (stream: ServerHttp2Stream) => boolean;
}

function dispatch(desk: Desk, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const path = headers[":path"] ?? "";
  if (headers[":method"] !== "POST") answerHttp(stream, 405);
  else if (!/^application\/grpc(?:[+;]|$)/.test(headers["content-type"] ?? "")) answerHttp(stream, 415);
  else if (path === CHECK_PATH) check(desk, stream, headers);
  else {
    const method = HEALTH_METHODS.get(path);
    if (method === undefined) answerStatus(stream, GRPC_STATUS.unimplemented, "unknown method");
    else method(desk.health, stream);
  }
}

function check({ options, isExpected }: Desk, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const { handler, strangerAnswer, checkTimeoutMs } = options;
  if (!isExpected(stream)) {
    answer(stream, strangerAnswer());
    return;
  }
  const arrived = performance.now();
  const patienceMs = Math.min(
    checkTimeoutMs,
    timeoutMs(headers["grpc-timeout"] as string | undefined) * SHARE_OF_DEADLINE,
  );
  readMessage(stream, { maxBytes: MAX_MESSAGE_BYTES, patienceMs }, (message) => {
    const deadlineMs = patienceMs - (performance.now() - arrived);
    // It closes after a normal answer too: the handler knows what is over.
    const onGone = (listener: () => void) => {
      if (isThere(stream)) stream.on("close", listener);
      else listener();
    };
    handler(message ?? NO_MESSAGE, { deadlineMs, onGone }).then(
      (bytes) => answer(stream, bytes),
      () => answer(stream, strangerAnswer()),
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
  // A session would wait for its peer; and who is still in the handshake has none.
  for (const socket of open.sockets) socket.destroy();
  await closed;
}
