// The reference wire stack: the ext_authz gRPC service on @grpc/grpc-js (decision record 011). I/O.
// What grpc-js refuses by itself (a message over the limit, an unknown encoding) ends in a gRPC error.
import { createServer as createTcpServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { Server, ServerCredentials, type sendUnaryData, type ServerReadableStream } from "@grpc/grpc-js";
import { isExpectedClient } from "../../http/client-certificate.ts";
import { listen } from "../../http/listen.ts";
import { tlsContext, tlsOptions } from "../../http/server.ts";
import { closeWithin, KEEP_ALIVE, OpenCalls, openSockets } from "../grpc/connections.ts";
import {
  CHECK_PATH,
  MAX_MESSAGE_BYTES,
  MAX_SESSION_MIB,
  MAX_STREAMS,
  NO_MESSAGE,
  SHARE_OF_DEADLINE,
  type GrpcServer,
  type GrpcServerOptions,
  type UnaryMethod,
} from "../grpc/grpc-server.ts";
import { Health } from "../grpc/health-state.ts";
import { addHealth } from "./health.ts";

const LIMITS = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_concurrent_streams": MAX_STREAMS,
  "grpc-node.max_session_memory": MAX_SESSION_MIB,
  "grpc.enable_channelz": 0,
};

type ByteMethod = (call: ServerReadableStream<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => void;

/**
 * Check as a stream of messages of bytes: so no message, and a second one, come to the handler as refusals, and the time
 * runs from the headers on. The codec reads the bytes inside the handler, where a fault is a refusal too.
 */
const bytes = (message: Buffer) => message;
const methodAt = (path: string) => ({
  path,
  requestStream: true,
  responseStream: false,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});

export function createGrpcJsServer(options: GrpcServerOptions): GrpcServer {
  const health = new Health();
  const { tls } = options;
  const calls = new OpenCalls();
  const known = service(options, (method) => unaryMethod(options, method, calls), health);
  // A client without one of the names has connections of its own, on which no Check is decided.
  const unknown = service(options, (method) => (_call, respond) => respond(null, method.refusal()), health);
  const secure = tls === null ? null : createTlsServer({ ...KEEP_ALIVE, ...tlsOptions(tls), ALPNProtocols: ["h2"] });
  const listener = secure ?? createTcpServer(KEEP_ALIVE);
  const sockets = openSockets(listener);
  listener.on(secure === null ? "connection" : "secureConnection", (socket: Socket) => {
    socket.on("error", () => socket.destroy());
    (tls === null || isExpectedClient(tls, socket) ? known : unknown).accept(socket);
  });
  return {
    listen: () => listen(listener, "listen.authz", options.address),
    setServing: (serving) => {
      health.serving = serving;
    },
    setTls: (material) => secure?.setSecureContext(tlsContext(material)),
    drain: (ms) => {
      health.end();
      const endSessions = () => {
        for (const { server } of [known, unknown]) server.tryShutdown(() => {});
      };
      return closeWithin(listener, { sockets, calls, endSessions }, ms);
    },
  };
}

interface Service {
  readonly server: Server;
  readonly accept: (socket: Socket) => void;
}

/** A grpc-js server that is given connections instead of listening: TLS, socket files and the end are ours. */
function service(
  { handler, unknownClientResponse, further = new Map<string, UnaryMethod>() }: GrpcServerOptions,
  serve: (method: UnaryMethod) => ByteMethod,
  health: Health,
): Service {
  const server = new Server(LIMITS);
  server.addService({ Check: methodAt(CHECK_PATH) }, { Check: serve({ handler, refusal: unknownClientResponse }) });
  for (const [path, method] of further) server.addService({ [path]: methodAt(path) }, { [path]: serve(method) });
  addHealth(server, health);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  return { server, accept: (socket) => injector.injectConnection(socket) };
}

function unaryMethod(
  { checkTimeoutMs }: GrpcServerOptions,
  { handler, refusal }: UnaryMethod,
  calls: OpenCalls,
): ByteMethod {
  return (call, respond) => {
    const arrived = performance.now();
    const timeoutMs = Math.min(checkTimeoutMs, (Number(call.getDeadline()) - Date.now()) * SHARE_OF_DEADLINE);
    readMessage(call, timeoutMs, (message) => {
      const deadlineMs = timeoutMs - (performance.now() - arrived);
      // `cancelled` comes after a normal response too; the handler ignores it then.
      const onGone = (listener: () => void) => {
        if (call.cancelled) listener();
        else call.on("cancelled", listener);
      };
      const end = (response: Buffer) => {
        calls.end();
        respond(null, response);
      };
      calls.begin();
      handler(message ?? NO_MESSAGE, { deadlineMs, onGone }).then(end, () => end(refusal()));
    });
  };
}

/**
 * Reads the one message of a call. @param done is called once, with null for none, more than one, or one that is not whole
 * in time; not at all if the call ends before
 */
function readMessage(
  call: ServerReadableStream<Buffer, Buffer>,
  timeoutMs: number,
  done: (message: Buffer | null) => void,
): void {
  let first: Buffer | null = null;
  let isOver = false;
  const finish = (message: Buffer | null) => {
    if (isOver || call.cancelled) return;
    isOver = true;
    clearTimeout(timer);
    done(message);
  };
  const timer = setTimeout(() => finish(null), timeoutMs);
  call.on("cancelled", () => clearTimeout(timer));
  call.on("data", (message: Buffer) => {
    if (first !== null) finish(null);
    first = message;
  });
  call.on("end", () => finish(first));
}
