// The ext_authz gRPC service as both wire stacks implement it, and the limits that both hold. Types and constants.
import type { TlsMaterial } from "../../http/server.ts";
import type { ListenAddress } from "../../http/listen.ts";
import type { CheckHandler } from "../check-handler.ts";

export interface GrpcServerOptions {
  readonly address: ListenAddress;
  readonly tls: TlsMaterial | null;
  readonly handler: CheckHandler;
  /** CheckResponse for a client whose certificate has none of the names. */
  readonly unknownClientResponse: () => Buffer;
  readonly checkTimeoutMs: number;
  /** Methods of other services on the same listener, by path, under the same limits. */
  readonly further?: ReadonlyMap<string, UnaryMethod>;
}

/** A method of bytes to bytes, and its response to a client whose certificate has none of the names. */
export interface UnaryMethod {
  readonly handler: CheckHandler;
  readonly refusal: () => Buffer;
}

export interface GrpcServer {
  /** Resolves with the port (0 for a socket). */
  listen(): Promise<number>;
  setServing(serving: boolean): void;
  /** Takes new certificates, for connections from now on. */
  setTls(material: TlsMaterial): void;
  /** Accepts no more calls, ends the watches of its health, waits for calls in flight, and ends the rest after `ms`. */
  drain(ms: number): Promise<void>;
}

export const CHECK_PATH = "/envoy.service.auth.v3.Authorization/Check";
/** Far above what Envoy sends (1 MiB of body and its headers): Envoy's own limit binds first. */
export const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
/** The share of `grpc-timeout` that we use: after it Envoy's failure mode decides, not we (threat model: M4). */
export const SHARE_OF_DEADLINE = 0.8;
/** Calls that may be open on one connection. */
export const MAX_STREAMS = 4096;
/** MiB that one HTTP/2 session may hold. */
export const MAX_SESSION_MIB = 1024;
/** A call without one whole message is refused like an empty CheckRequest. */
export const NO_MESSAGE: Buffer = Buffer.alloc(0);

/** Names of services with a health state: the whole server (""), and the one that Envoy asks for. */
export const HEALTH_SERVICES: ReadonlySet<string> = new Set(["", "envoy.service.auth.v3.Authorization"]);
