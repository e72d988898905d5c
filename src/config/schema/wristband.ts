// The section `wristband`. Pure.
import { z } from "zod";
import { KID } from "../../jose/key-set.ts";
import { address, headerName, httpUrl, positive, url, type FileSchema } from "./values.ts";

export const wristbandSchema = (file: FileSchema) =>
  z.strictObject({
    issuer: url.meta({ description: "the name under which serve signs for the broker" }),
    audience: z.string().min(1).default("mcp-broker").meta({ description: "the broker's name" }),
    keys: z
      .array(
        z.strictObject({
          kid: z.string().regex(KID).meta({ description: "the key's name; the first key signs, all are published" }),
          file: file.meta({ description: "a P-256 private key, PEM" }),
        }),
      )
      .min(1),
    header: headerName.default("x-authorized-tools").meta({ description: "the header that carries it" }),
    ttlSeconds: positive.max(3600).default(300).meta({ description: "how long one lives, at most" }),
    jwksUrl: httpUrl.nullable().default(null).meta({
      description:
        "where the broker fetches the keys: `/.well-known/jwks.json` of the ops listener, by https where it has `tls.ops`",
      unset: "serve's",
    }),
    opsAddress: address.nullable().default(null).meta({
      description:
        "where the broker reaches this replica of serve for a [credential that a server refuses](credentials.md#a-server-refuses-a-credential): `host:port`; scheme, CA and name are those of `jwksUrl`",
      unset: "`listen.ops`, with this machine's first address for `0.0.0.0`",
    }),
    caFile: file.nullable().default(null).meta({
      description: "the CA of an https `jwksUrl`, or of `tls.ops`; TLS is always verified, CA and host name",
      unset: "the system's",
    }),
  });
