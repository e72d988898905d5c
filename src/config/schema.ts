// The shape and the defaults of `mcp-authz.yaml` (docs/configuration.md), each section in its file of schema/. Defaults live
// there and nowhere else. Pure but for the secrets, which the caller reads.
import { z } from "zod";
import { credentialSchema } from "./schema/credential.ts";
import { envoySchema } from "./schema/envoy.ts";
import { identitySchema } from "./schema/identity.ts";
import { limitsSchema } from "./schema/limits.ts";
import { listenSchema, tlsSchema, workersSchema } from "./schema/listen.ts";
import { policySchema } from "./schema/policy.ts";
import { requestKeys } from "./schema/request.ts";
import { secretSchema, type ReadSecret } from "./schema/secret.ts";
import { searchSchema, virtualServersSchema } from "./schema/curation.ts";
import { serversSchema } from "./schema/servers.ts";
import { headerName, hostName, origin, positive } from "./schema/values.ts";
import { legacySseSchema, sessionsSchema } from "./schema/sessions.ts";
import {
  auditSchema,
  authzenSchema,
  catalogSchema,
  challengeSchema,
  corsSchema,
  extMcpSchema,
  listsSchema,
  outgoingSchema,
  watchFilesSchema,
} from "./schema/small.ts";
import { assertionsSchema } from "./schema/assertion.ts";
import { tracesSchema } from "./schema/traces.ts";
import { vaultSchema } from "./schema/vault.ts";
import { wristbandSchema } from "./schema/wristband.ts";

/** Makes a path of the file absolute: paths are relative to the folder of the config file. */
export type ResolvePath = (path: string) => string;

/** The schema, with what reads secrets and resolves paths. */
export function configSchema(readSecret: ReadSecret, resolvePath: ResolvePath) {
  const file = z.string().min(1).transform(resolvePath);
  const secret = secretSchema(readSecret);
  return z.strictObject({
    publicOrigin: origin.meta({
      description: "every URL that we hand out begins with it; the request's `Host` is never used for that",
    }),
    hosts: z.array(hostName).default([]).meta({ description: "further host names that are accepted" }),
    ...requestKeys,
    allowHttp: z
      .array(hostName)
      .default([])
      .meta({ description: "hosts beyond loopback that may be reached by plain http" }),
    ...{ outgoing: outgoingSchema, watchFiles: watchFilesSchema },
    ...{ workers: workersSchema, listen: listenSchema },
    tls: tlsSchema(file),
    envoy: envoySchema(file),
    challenge: challengeSchema,
    cors: corsSchema,
    clientAddress: z.enum(["peer", "x-envoy-external-address"]).default("peer").meta({
      description:
        "what policy sees as `sourceIp`: `peer`, or `x-envoy-external-address` where Envoy stands behind a trusted proxy",
    }),
    acceptTextBody: z.boolean().default(false).meta({
      description:
        "accept bodies that the data plane sends as text (Envoy Gateway); it replaces bad bytes before we see them",
    }),
    routeHeader: headerName
      .nullable()
      .default(null)
      .meta({ description: "for data planes that route by header: the name of the header that carries the route" }),
    traces: tracesSchema(file, secret).nullable().default(null).meta({ unset: "none" }),
    ...{ audit: auditSchema(file), authzen: authzenSchema },
    identity: identitySchema(file),
    policy: policySchema(file),
    wristband: wristbandSchema(file),
    assertions: assertionsSchema(file).nullable().default(null),
    catalog: catalogSchema(file),
    sessions: sessionsSchema(file).nullable().default(null),
    vault: vaultSchema(file, secret).nullable().default(null),
    negativeTtlMs: positive.default(5_000).meta({ description: 'how long "has no credential" is remembered' }),
    limits: limitsSchema,
    servers: serversSchema(file, credentialSchema(file, secret)),
    lists: listsSchema,
    extMcp: extMcpSchema,
    search: searchSchema,
    virtualServers: virtualServersSchema,
    legacySse: legacySseSchema,
  });
}

export type Config = z.output<ReturnType<typeof configSchema>>;
export type ServerConfig = Config["servers"][string];
export type CredentialConfig = ServerConfig["credential"][number];
