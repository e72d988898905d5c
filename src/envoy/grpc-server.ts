import { chmodSync, lstatSync, rmSync } from "node:fs";
import {
  Server,
  ServerCredentials,
  type handleUnaryCall,
  type ServerUnaryCall,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { healthService, type Health } from "./health.ts";
import type { Handler } from "./settle.ts";
import { ReplaceableCredentials, type TlsMaterial } from "./tls-credentials.ts";

/** Where a server listens: TCP, or a Unix socket. */
export type ListenAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

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

/** Far above what Envoy sends (1 MiB of body and its headers): the real limit is Envoy's, and a gRPC error would not be a refusal (M2). */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
/** We answer before Envoy gives up: after that its failure mode decides, not we (M4). */
const SHARE_OF_DEADLINE = 0.8;

const identity = (bytes: Buffer) => bytes;
const SERVICE: ServiceDefinition = {
  Check: {
    path: "/envoy.service.auth.v3.Authorization/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
};

/** The ext_authz gRPC service: bytes to the handler and back. A Check never ends in a gRPC error (M2). */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const server = new Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    "grpc.enable_channelz": 0,
  });
  const health: Health = { serving: true };
  server.addService(SERVICE, { Check: checkMethod(options) });
  const { definition, implementation } = healthService(health);
  server.addService(definition, implementation);
  const tls = options.tls === null ? null : new ReplaceableCredentials(options.tls);
  return {
    listen: () => listen(server, options.address, tls ?? ServerCredentials.createInsecure()),
    setServing: (serving) => {
      health.serving = serving;
    },
    setTls: (material) => tls?.replace(material),
    drain: (ms) => drain(server, health, ms),
  };
}

function checkMethod(options: GrpcServerOptions): handleUnaryCall<Buffer, Buffer> {
  const { handler, strangerAnswer, checkTimeoutMs } = options;
  return (call, callback) => {
    const answer = (bytes: Buffer) => callback(null, bytes);
    if (!isExpectedClient(options, call)) {
      answer(strangerAnswer());
      return;
    }
    const deadline = call.getDeadline();
    const left = (deadline instanceof Date ? deadline.getTime() : deadline) - Date.now();
    const deadlineMs = Math.min(checkTimeoutMs, left * SHARE_OF_DEADLINE);
    // grpc-js says "cancelled" after a normal answer too: the handler knows what is over.
    const onGone = (listener: () => void) => {
      if (call.cancelled) listener();
      else call.on("cancelled", listener);
    };
    handler(call.request, { deadlineMs, onGone }).then(answer, () => answer(strangerAnswer()));
  };
}

/** grpc-js takes any certificate of the CA, so the names are compared here. */
function isExpectedClient({ tls }: GrpcServerOptions, call: ServerUnaryCall<Buffer, Buffer>): boolean {
  if (tls === null || tls.clientSans.length === 0) return true;
  const subjectAltName = call.getAuthContext().sslPeerCertificate?.subjectaltname;
  const names = (subjectAltName ?? "").split(", ").map((entry) => /^(?:DNS|URI):([^"]*)$/.exec(entry)?.[1]);
  return names.some((name) => name !== undefined && tls.clientSans.includes(name));
}

function listen(server: Server, address: ListenAddress, credentials: ServerCredentials): Promise<number> {
  const target = address.kind === "unix" ? `unix:${address.path}` : `${bracketed(address.host)}:${address.port}`;
  if (address.kind === "unix") removeStaleSocket(address.path);
  return new Promise((done, fail) => {
    server.bindAsync(target, credentials, (error, port) => {
      if (error) {
        fail(new Error(`listen.authz: cannot listen on ${target}: ${error.message}`));
        return;
      }
      if (address.kind === "unix") chmodSync(address.path, 0o660);
      done(address.kind === "unix" ? 0 : port);
    });
  });
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** A socket that a process left behind; nothing else is removed. */
function removeStaleSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) rmSync(path);
  } catch {
    // Not there: nothing to remove.
  }
}

async function drain(server: Server, health: Health, ms: number): Promise<void> {
  health.serving = false;
  let timer: NodeJS.Timeout | undefined;
  const finished = new Promise<void>((done) => server.tryShutdown(() => done()));
  const late = new Promise<void>((done) => {
    timer = setTimeout(done, ms);
  });
  await Promise.race([finished, late]);
  clearTimeout(timer);
  server.forceShutdown();
}
