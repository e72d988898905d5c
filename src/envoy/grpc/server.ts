// The fast wire stack: the ext_authz gRPC service on our own HTTP/2 (decision record 020). I/O.
import type { Socket } from "node:net";
import { isExpectedClient } from "../../http/client-certificate.ts";
import { listen } from "../../http/listen.ts";
import type { TlsMaterial } from "../../http/server.ts";
import { createHttp2Server } from "../../http2/server.ts";
import { closeWithin, KEEP_ALIVE, OpenCalls, openSockets } from "./connections.ts";
import {
  CHECK_PATH,
  MAX_MESSAGE_BYTES,
  NO_MESSAGE,
  SHARE_OF_DEADLINE,
  type GrpcServer,
  type GrpcServerOptions,
  type UnaryMethod,
} from "./grpc-server.ts";
import { HEALTH_METHODS } from "./health.ts";
import { Health } from "./health-state.ts";
import {
  GRPC_STATUS,
  messageOf,
  parseTimeout,
  PREFIX_BYTES,
  respond,
  respondHttp,
  respondStatus,
  type Call,
} from "./message.ts";

/** A Check never ends in a gRPC error (threat model: M2): what cannot be read is refused by the handler. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const health = new Health();
  const calls = new OpenCalls();
  const { tls } = options;
  const isExpected = clientCertificateCheck(tls);
  const context: ServerContext = { options, health, calls };
  const http2 = createHttp2Server({
    tls,
    socket: KEEP_ALIVE,
    maxBodyBytes: MAX_MESSAGE_BYTES + PREFIX_BYTES,
    onRequest: (connection, stream, socket) => dispatch(context, { connection, stream }, isExpected(socket)),
  });
  const sockets = openSockets(http2.server);
  return {
    listen: () => listen(http2.server, "listen.authz", options.address),
    setServing: (serving) => {
      health.serving = serving;
    },
    setTls: (material) => http2.setTls(material),
    drain: (ms) => {
      health.end();
      return closeWithin(http2.server, { sockets, calls, endSessions: () => http2.shutdown() }, ms);
    },
  };
}

/** True for a client whose certificate has one of the names; looked up once per connection. */
function clientCertificateCheck(tls: TlsMaterial | null): (socket: Socket) => boolean {
  if (tls === null) return () => true;
  const known = new WeakMap<Socket, boolean>();
  return (socket) => {
    let expected = known.get(socket);
    if (expected === undefined) known.set(socket, (expected = isExpectedClient(tls, socket)));
    return expected;
  };
}

interface ServerContext {
  readonly options: GrpcServerOptions;
  readonly health: Health;
  readonly calls: OpenCalls;
}

function dispatch(context: ServerContext, call: Call, isExpected: boolean): void {
  const { method: verb, path, contentType } = call.stream.head;
  if (verb !== "POST") atItsEnd(context, call, () => respondHttp(call, 405));
  else if (!/^application\/grpc(?:[+;]|$)/.test(contentType)) atItsEnd(context, call, () => respondHttp(call, 415));
  else {
    const unary = unaryMethod(context.options, path);
    const method = HEALTH_METHODS.get(path);
    if (unary !== undefined && isExpected) serve(context, unary, call);
    else if (unary !== undefined) atItsEnd(context, call, () => respond(call, unary.refusal()));
    else if (method === undefined)
      atItsEnd(context, call, () => respondStatus(call, GRPC_STATUS.unimplemented, "unknown method"));
    else method(context.health, call);
  }
}

function unaryMethod(
  { handler, unknownClientResponse, further }: GrpcServerOptions,
  path: string,
): UnaryMethod | undefined {
  return path === CHECK_PATH ? { handler, refusal: unknownClientResponse } : further?.get(path);
}

/**
 * Answers when the request is whole, whatever its body is: an earlier answer would have to reset the stream behind it. Nothing
 * of the body is kept, and a request without an end is answered in the time of a Check.
 */
function atItsEnd(
  { options: { checkTimeoutMs } }: ServerContext,
  { connection, stream }: Call,
  answer: () => void,
): void {
  connection.discardBody(stream);
  const timer = setTimeout(answer, checkTimeoutMs);
  const end = () => {
    clearTimeout(timer);
    answer();
  };
  stream.listener = { onBody: end, onEnd: end, onGone: () => clearTimeout(timer) };
}

/** Waits for the message, for no longer than the caller does, and hands it to the handler. */
function serve({ options, calls }: ServerContext, { handler, refusal }: UnaryMethod, call: Call): void {
  const { checkTimeoutMs } = options;
  const { connection, stream } = call;
  const arrived = performance.now();
  const timeoutMs = Math.min(checkTimeoutMs, parseTimeout(stream.head.grpcTimeout) * SHARE_OF_DEADLINE);
  let onGone = () => {};
  const decide = (message: Buffer | null) => {
    clearTimeout(timer);
    connection.discardBody(stream);
    calls.begin();
    const end = (bytes: Buffer) => {
      calls.end();
      respond(call, bytes);
    };
    const context = {
      deadlineMs: timeoutMs - (performance.now() - arrived),
      onGone: (listener: () => void) => {
        if (stream.isClosed) listener();
        else onGone = listener;
      },
    };
    handler(message ?? NO_MESSAGE, context).then(end, () => end(refusal()));
  };
  const timer = setTimeout(() => decide(null), timeoutMs);
  stream.listener = {
    onBody: (body) => decide(messageOf(body)),
    onGone: () => {
      clearTimeout(timer);
      onGone();
    },
  };
}
