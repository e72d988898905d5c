// The section `envoy`: what `envoy-config` prints and the services do not need. Pure.
import { z } from "zod";
import { address, positive, type FileSchema } from "./values.ts";

export function envoySchema(file: FileSchema) {
  const clientTls = z.strictObject({
    certFile: file.nullable().default(null),
    keyFile: file.nullable().default(null),
    caFile: file,
    serverName: z.string().min(1),
  });
  return z
    .strictObject({
      listen: address.prefault("127.0.0.1:8080"),
      opsListen: address.prefault("127.0.0.1:8081"),
      adminSocket: file.prefault("run/envoy-admin.sock"),
      authzAddress: address.nullable().default(null),
      brokerAddress: address.nullable().default(null),
      tls: z
        .strictObject({
          listen: z.strictObject({ certFile: file, keyFile: file }).nullable().default(null),
          authz: clientTls.nullable().default(null),
          broker: clientTls.nullable().default(null),
        })
        .prefault({}),
      trustedHops: z.int().nonnegative().max(64).default(0),
      maxStreamSeconds: positive.default(900),
      heapMiB: z.int().min(64).max(65_536).default(192),
      maxConnections: z.int().min(16).max(100_000).default(4096),
    })
    .prefault({});
}
