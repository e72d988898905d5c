// The sections of one or two keys: `challenge`, `cors`, `audit`, `catalog`. Pure.
import { z } from "zod";
import { httpUrl, origin, scope, type FileSchema } from "./values.ts";

export const challengeSchema = z
  .strictObject({
    scopes: z
      .array(scope)
      .default([])
      .meta({ description: '`scope="…"` in the 401 and `scopes_supported` in the resource metadata' }),
  })
  .prefault({});

export const corsSchema = z
  .strictObject({
    origins: z
      .array(origin)
      .default([])
      .meta({ description: "browser origins besides `publicOrigin`; any other `Origin` is refused" }),
  })
  .prefault({});

export const auditSchema = (file: FileSchema) =>
  z
    .strictObject({
      file: file.nullable().default(null).meta({ description: "the audit log; without it, standard output" }),
    })
    .prefault({});

export const catalogSchema = (file: FileSchema) =>
  z
    .strictObject({
      url: httpUrl.nullable().default(null).meta({
        description:
          "where serve reads what the servers offer: `/catalog` of the brokerOps listener, by https where it has `tls.brokerOps`",
        unset: "the broker's",
      }),
      caFile: file.nullable().default(null).meta({
        description:
          "the CA of an https `catalog.url`, or of `tls.brokerOps`; TLS is always verified, CA and host name",
        unset: "the system's",
      }),
    })
    .prefault({});
