// The sections `listen` and `tls.<listener>`. Pure.
import { z } from "zod";
import { address, type FileSchema } from "./values.ts";

/** Each is a thread with caches of its own. */
export const MAX_WORKERS = 64;

export const workersSchema = z.int().min(1).max(MAX_WORKERS).default(1).meta({
  description:
    "threads of serve that decide, each on a core of its own; `serve --workers` counts before it ([workers](operations.md#workers))",
});

export const listenSchema = z
  .strictObject({
    authz: address.prefault("127.0.0.1:9001").meta({ description: "gRPC for Envoy; `unix:/path` for a socket" }),
    authzStack: z.enum(["http2", "grpc-js"]).default("http2").meta({
      description:
        "what speaks gRPC there: `http2`, our own, or `grpc-js`, the reference ([when](operations.md#wire-stacks))",
    }),
    workerPorts: z.enum(["shared", "each"]).default("shared").meta({
      description:
        "with several `workers`: `shared`, one port of `authz`, whose connections the kernel spreads; or `each`, a port for each worker from that of `authz` on, which the printed Envoy takes in turn",
    }),
    ops: address
      .prefault("127.0.0.1:9002")
      .meta({ description: "`/healthz`, `/readyz`, `/metrics`, `/.well-known/jwks.json` of serve" }),
    broker: address.prefault("127.0.0.1:9003").meta({ description: "the broker's MCP endpoints" }),
    brokerOps: address.prefault("127.0.0.1:9004").meta({ description: "the broker's health, metrics and catalogue" }),
    authzen: address.nullable().default(null).meta({
      description: "decisions for whoever is no proxy, by [AuthZEN](authzen.md)",
      unset: "nobody can ask",
    }),
    plaintext: z
      .boolean()
      .default(false)
      .meta({ description: "`true` where a mesh's sidecar encrypts: listeners beyond loopback need no TLS then" }),
  })
  .prefault({});

export function tlsSchema(file: FileSchema) {
  const listener = z.strictObject({
    certFile: file.meta({ description: "the listener's certificate chain, PEM" }),
    keyFile: file.meta({ description: "its private key, PEM" }),
    clientCaFile: file.nullable().default(null).meta({ description: "clients must show a certificate of this CA" }),
    clientSans: z.array(z.string().min(1)).default([]).meta({
      description:
        "one of these names (DNS or URI, exact) must be in the client's certificate; empty: any certificate of the CA",
    }),
  });
  return z
    .strictObject({ authz: listener, ops: listener, broker: listener, brokerOps: listener, authzen: listener })
    .partial()
    .prefault({});
}
