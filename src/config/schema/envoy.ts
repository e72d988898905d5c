// The section `envoy`: what `envoy-config` prints and the services do not need. Pure.
import { z } from "zod";
import { address, httpUrl, positive, type FileSchema } from "./values.ts";

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
      upstreams: upstreamsSchema(file),
      maxConnections: z
        .int()
        .min(16)
        .max(100_000)
        .default(4096)
        .meta({ description: "connections of clients at a time" }),
    })
    .prefault({});
}

/** Where paths go that are no MCP endpoint. */
function upstreamsSchema(file: FileSchema) {
  return z
    .array(
      z.strictObject({
        prefix: z
          .string()
          .regex(/^\/[!$&'()*+,=:@A-Za-z0-9._~/-]*$/, "must be a path, without escapes")
          .meta({
            description: "paths that begin with this go there; the longest that fits, where it ends a segment",
          }),
        url: httpUrl
          .refine(
            (text) => URL.parse(text)?.pathname === "/" && !/[?]/.test(text),
            "must be an origin: paths go there as they are",
          )
          .meta({ description: "the server of these paths" }),
        body: z.boolean().default(true).meta({
          description: "policy sees bodies; `false` for a policy that reads none, then Envoy holds none back",
        }),
        caFile: file.nullable().default(null).meta({
          description: "TLS is always verified, CA and host name",
          unset: "the system's",
        }),
      }),
    )
    .max(64)
    .default([])
    .meta({
      description: "where paths go that `policy.envoy` allows ([opa-envoy](opa-envoy.md)); others of them are 404",
    });
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
