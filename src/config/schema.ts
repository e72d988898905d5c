// The shape and the defaults of `mcp-authz.yaml` (docs/configuration.md), each section in its file of schema/. Defaults live
// there and nowhere else. Pure but for the secrets, which the caller reads.
import { z } from "zod";
import { credentialSchema } from "./schema/credential.ts";
import { envoySchema } from "./schema/envoy.ts";
import { identitySchema } from "./schema/identity.ts";
import { limitsSchema } from "./schema/limits.ts";
import { listenSchema, tlsSchema } from "./schema/listen.ts";
import { policySchema } from "./schema/policy.ts";
import { secretSchema, type ReadSecret } from "./schema/secret.ts";
import { serverSchema } from "./schema/servers.ts";
import { headerName, hostName, origin, positive, serverName, url } from "./schema/values.ts";
import { vaultSchema } from "./schema/vault.ts";
import { wristbandSchema } from "./schema/wristband.ts";

export type { Address } from "./schema/values.ts";

/** Makes a path of the file absolute: paths are relative to the folder of the config file. */
export type ResolvePath = (path: string) => string;

/** The schema, with what reads secrets and resolves paths. */
export function configSchema(readSecret: ReadSecret, resolvePath: ResolvePath) {
  const file = z.string().min(1).transform(resolvePath);
  const secret = secretSchema(readSecret);
  return z.strictObject({
    publicOrigin: origin,
    hosts: z.array(hostName).default([]),
    callRouting: z.enum(["broker", "direct"]).default("broker"),
    denial: z.enum(["jsonrpc", "http"]).default("jsonrpc"),
    checkTimeoutMs: positive.default(800),
    drainMs: positive.default(10_000),
    allowHttp: z.array(hostName).default([]),
    listen: listenSchema,
    tls: tlsSchema(file),
    envoy: envoySchema(file),
    challenge: z
      .strictObject({ scopes: z.array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/)).default([]) })
      .prefault({}),
    cors: z.strictObject({ origins: z.array(origin).default([]) }).prefault({}),
    clientAddress: z.enum(["peer", "x-envoy-external-address"]).default("peer"),
    acceptTextBody: z.boolean().default(false),
    routeHeader: headerName.nullable().default(null),
    audit: z.strictObject({ file: file.nullable().default(null) }).prefault({}),
    identity: identitySchema(file),
    policy: policySchema(file),
    wristband: wristbandSchema(file),
    catalog: z.strictObject({ url: url.nullable().default(null), caFile: file.nullable().default(null) }).prefault({}),
    vault: vaultSchema(file, secret).nullable().default(null),
    negativeTtlMs: positive.default(5_000),
    limits: limitsSchema,
    servers: z
      .record(serverName, serverSchema(file, credentialSchema(file, secret)))
      .refine((servers) => Object.keys(servers).length > 0, "name at least one server"),
  });
}

export type Config = z.output<ReturnType<typeof configSchema>>;
export type ServerConfig = Config["servers"][string];
export type CredentialConfig = ServerConfig["credential"][number];
