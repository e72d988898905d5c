// The fast wire stack: the ext_authz gRPC service on node:http2 (decision record 002). I/O.
import {
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from "node:http2";
import { isExpectedClient } from "../../http/client-certificate.ts";
import { listen } from "../../http/listen.ts";
import { tlsContext, tlsOptions, type TlsMaterial } from "../../http/server.ts";
import { closeWithin, KEEP_ALIVE, OpenCalls, openSockets } from "./connections.ts";
import {
  CHECK_PATH,
  MAX_MESSAGE_BYTES,
  MAX_SESSION_MIB,
  MAX_STREAMS,
  NO_MESSAGE,
  SHARE_OF_DEADLINE,
  type GrpcServer,
  type GrpcServerOptions,
  type Health,
} from "./grpc-server.ts";
import { respond, respondHttp, respondStatus, GRPC_STATUS, isOpen, readMessage, parseTimeout } from "./message.ts";
import { HEALTH_METHODS } from "./health.ts";

const WINDOW_BYTES = 1024 * 1024;

/**
 * Envoy's connections are few and live long. Envoy resets calls whose client left or whose time is over; with Node's default
 * limits on RST_STREAM a burst of these would close the connection with every other call on it.
 */
const HTTP2: ServerOptions = {
  maxSessionMemory: MAX_SESSION_MIB,
  streamResetBurst: 10_000,
  streamResetRate: 10_000,
  settings: { maxConcurrentStreams: MAX_STREAMS, initialWindowSize: WINDOW_BYTES },
};

/** A Check never ends in a gRPC error (threat model: M2): what cannot be read is refused by the handler. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const health: Health = { serving: true };
  const sessions = new Set<ServerHttp2Session>();
  const calls = new OpenCalls();
  const { tls } = options;
  const secure = tls === null ? null : createSecureServer({ ...HTTP2, ...KEEP_ALIVE, ...tlsOptions(tls) });
  const server = secure ?? createServer({ ...HTTP2, ...KEEP_ALIVE });
  const sockets = openSockets(server);
  server.on("session", (session) => {
    sessions.add(session);
    session.setLocalWindowSize(WINDOW_BYTES * 16);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => session.destroy());
  });
  const isExpected = clientCertificateCheck(tls);
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {}); // the client is gone; the handler learns it from `onGone`
    dispatch({ options, health, calls, isExpected }, stream, headers);
  });
  return {
    listen: () => listen(server, "listen.authz", options.address),
    setServing: (serving) => {
      health.serving = serving;
    },
    setTls: (material) => secure?.setSecureContext(tlsContext(material)),
    drain: (ms) => {
      health.serving = false;
      const endSessions = () => {
        for (const session of sessions) session.close();
      };
      return closeWithin(server, { sockets, calls, endSessions }, ms);
    },
  };
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

interface ServerContext {
  readonly options: GrpcServerOptions;
  readonly health: Health;
  readonly calls: OpenCalls;
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

function check(
  { options, calls, isExpected }: ServerContext,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): void {
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
    const end = (bytes: Buffer) => {
      calls.end();
      respond(stream, bytes);
    };
    calls.begin();
    handler(message ?? NO_MESSAGE, { deadlineMs, onGone }).then(end, () => end(unknownClientResponse()));
  });
}
