// The section `envoy`: what `envoy-config` prints and the services do not need. Pure.
import { z } from "zod";
import { address, positive, type FileSchema } from "./values.ts";

export function envoySchema(file: FileSchema) {
  return z
    .strictObject({
      listen: address.prefault("127.0.0.1:8080").meta({ description: "where clients come in" }),
      opsListen: address.prefault("127.0.0.1:8081").meta({ description: "Envoy's `/ready` and `/stats/prometheus`" }),
      adminSocket: file.prefault("run/envoy-admin.sock").meta({ description: "Envoy's admin interface; never on TCP" }),
      authzAddress: address
        .nullable()
        .default(null)
        .meta({ description: "where Envoy finds serve", unset: "`listen.authz`" }),
      brokerAddress: address
        .nullable()
        .default(null)
        .meta({ description: "where Envoy finds the broker", unset: "`listen.broker`" }),
      tls: tlsSchema(file),
      trustedHops: z
        .int()
        .nonnegative()
        .max(64)
        .default(0)
        .meta({ description: "proxies before Envoy whose `x-forwarded-for` is believed" }),
      maxStreamSeconds: positive.default(900).meta({ description: "how long one answer may stream" }),
      heapMiB: z.int().min(64).max(65_536).default(192).meta({
        description:
          "the heap that Envoy may use: near it, it refuses new work and ends the streams that hold the most; give its container a third more",
      }),
      maxConnections: z
        .int()
        .min(16)
        .max(100_000)
        .default(4096)
        .meta({ description: "connections of clients at a time" }),
    })
    .prefault({});
}

/** Towards clients, serve and the broker. */
function tlsSchema(file: FileSchema) {
  const clientTls = (service: string) =>
    z
      .strictObject({
        caFile: file.meta({ description: `the CA of ${service}'s certificate` }),
        serverName: z.string().min(1).meta({ description: "the name in it" }),
        certFile: file
          .nullable()
          .default(null)
          .meta({ description: `Envoy's own certificate towards ${service}` }),
        keyFile: file.nullable().default(null).meta({ description: "its private key" }),
      })
      .nullable()
      .default(null);
  return z
    .strictObject({
      listen: z
        .strictObject({
          certFile: file.meta({ description: "the certificate that clients see", unset: "none" }),
          keyFile: file.meta({ description: "its private key", unset: "none" }),
          clientCaFile: file.nullable().default(null).meta({
            description:
              "the CA of certificates that clients may show, such as those of `identity.proxies`; none must be shown",
            unset: "no certificate is asked for",
          }),
        })
        .nullable()
        .default(null),
      authz: clientTls("serve"),
      broker: clientTls("the broker"),
    })
    .prefault({});
}
