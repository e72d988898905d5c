// The sections of one or two keys: `challenge`, `cors`, `lists`, `audit`, `catalog`. Pure.
import { z } from "zod";
import { isAddressOrRange } from "../../http/addresses.ts";
import { HOST_NAME, httpUrl, origin, resource, scope, type FileSchema } from "./values.ts";

export const challengeSchema = z
  .strictObject({
    scopes: z
      .array(scope)
      .default([])
      .meta({ description: '`scope="…"` in the 401 and `scopes_supported` in the resource metadata' }),
    heldScopes: z.boolean().default(false).meta({
      description:
        "a challenge for missing scopes names those too that the token has, for issuers that forget them in a new one",
    }),
    resource: resource.nullable().default(null).meta({
      description:
        "the `resource` of every endpoint's metadata, for an issuer that knows the gateway by one name; accepted as an audience there ([identity](identity.md#the-name-of-an-endpoint))",
      unset: "each endpoint's own URL",
    }),
  })
  .prefault({});

export const authzenSchema = z
  .strictObject({
    origin: origin.nullable().default(null).meta({
      description:
        "where others reach `listen.authzen`: the name of this decision point, and an audience of tokens for it",
      unset: "its address",
    }),
    scope: scope.default("authzen").meta({ description: "what a token must hold whose bearer may ask about others" }),
  })
  .prefault({});

export const outgoingSchema = z
  .strictObject({
    allow: z
      .array(
        z
          .string()
          .refine(
            (entry) => isAddressOrRange(entry) || HOST_NAME.test(entry),
            "must be a host name in lower case, an address or a range such as 10.20.0.0/16",
          ),
      )
      .default([])
      .meta({
        description:
          "hosts, addresses and ranges inside your network to which an issuer's metadata may lead (its `allowedHosts` must name the host, too). Link-local and metadata addresses are never reached, also not by a URL of this file: [identity](identity.md#outgoing-requests)",
      }),
  })
  .prefault({});

export const watchFilesSchema = z.boolean().default(true).meta({
  description:
    "read this file and those that it names again when they have changed, as at SIGHUP ([operations](operations.md#changes-of-the-configuration))",
});

export const corsSchema = z
  .strictObject({
    origins: z
      .array(origin)
      .default([])
      .meta({ description: "browser origins besides `publicOrigin`; any other `Origin` is refused" }),
  })
  .prefault({});

const MAX_PAGE_ENTRIES = 10_000;

export const listsSchema = z
  .strictObject({
    pageSize: z
      .union([z.literal("auto"), z.int().min(1).max(MAX_PAGE_ENTRIES)])
      .default("auto")
      .meta({
        description: `entries of one page of a list, at most ${MAX_PAGE_ENTRIES}; \`auto\`: one page while it fits 1 MiB, for clients that never ask for the next`,
      }),
  })
  .prefault({});

export const extMcpSchema = z
  .strictObject({
    prefixMode: z.enum(["conditional", "always"]).default("conditional").meta({
      description:
        "agentgateway's `mcp.prefixMode`, of whose lists names are taken apart: `conditional`, where names of several targets have a prefix, or `always` ([agentgateway](mesh/agentgateway.md))",
    }),
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
