import { isIP } from "node:net";
import { z } from "zod";
import { Secret } from "../secret/secret.ts";
import { exchangeSchema } from "./exchange.ts";
import { limitsSchema } from "./limits.ts";

/** Turns `{file}` or `{env}` into the secret's text, or throws a sentence that says what is wrong. */
export type ReadSecret = (source: { file: string } | { env: string }) => string;
/** Makes a path of the file absolute: paths are relative to the folder of the config file. */
export type ResolvePath = (path: string) => string;

/** Milliseconds and the like: beyond it Node's timers fire at once. */
const positive = z.int().positive().max(2_147_483_647);
/** RFC 9110 §5.1 token, lower case. */
const headerName = z.string().regex(/^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/, "must be a header name in lower case");
const serverName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, "a server name is 1 to 63 of a-z, 0-9 and '-', and begins with a letter");
const hostName = z.string().regex(/^[a-z0-9.:[\]-]{1,255}$/, "must be a host name in lower case, without port");

/** An absolute URL: no user info, no fragment. */
const absoluteUrl = z.string().superRefine((text, ctx) => {
  const parsed = URL.parse(text);
  if (parsed === null || !["http:", "https:"].includes(parsed.protocol)) {
    ctx.addIssue("must be an absolute http or https URL");
  } else if (parsed.username !== "" || parsed.password !== "" || text.includes("#")) {
    ctx.addIssue("must not hold user info or a fragment");
  }
});
/** As written: URL.parse takes off spaces around it, and tabs and line breaks within. */
const url = absoluteUrl.refine(
  (text) => !/[^\x21-\x7e]/.test(text),
  "must be visible ASCII: a name of other letters in its xn-- form, other characters with an escape",
);
const origin = url.refine((text) => {
  const parsed = URL.parse(text);
  return parsed !== null && parsed.origin === text;
}, "must be an origin only: scheme, host in lower case and port if not the default, without a trailing slash");

const address = z.string().transform((text, ctx): Address => {
  const parsed = parseAddress(text);
  if (parsed === null) {
    ctx.addIssue('must be "host:port" or "unix:/path"');
    return z.NEVER;
  }
  return parsed;
});

/** Where a listener listens: TCP, or a Unix socket. */
export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

function parseAddress(text: string): Address | null {
  if (text.startsWith("unix:")) return text.length > 5 ? { kind: "unix", path: text.slice(5) } : null;
  const match = /^(?:\[([0-9a-f:]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host === undefined || port > 65_535 ? null : { kind: "tcp", host, port };
}

export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "");
  return bare === "localhost" || bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}

function tlsSchema(file: z.ZodType<string, string>) {
  const listener = z.strictObject({
    certFile: file,
    keyFile: file,
    clientCaFile: file.nullable().default(null),
    clientSans: z.array(z.string().min(1)).default([]),
  });
  return z
    .strictObject({ authz: listener, ops: listener, broker: listener, brokerOps: listener })
    .partial()
    .prefault({});
}

function envoySchema(file: z.ZodType<string, string>) {
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

const claimPath = z.string().min(1);

const identitySchema = (file: z.ZodType<string, string>) =>
  z.strictObject({
    issuers: z
      .array(
        z.strictObject({
          issuer: url,
          audiences: z
            .array(z.string().min(1))
            .min(1, "name at least one audience: a token for anybody is a token for nobody"),
          algorithms: z
            .array(z.enum(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]))
            .min(1),
          tokenType: z.enum(["at+jwt", "jwt"]).default("at+jwt"),
          jwksUri: url.nullable().default(null),
          allowedHosts: z.array(hostName).default([]),
          alias: z
            .string()
            .regex(/^[a-z0-9-]{1,63}$/, "must be 1 to 63 of a-z, 0-9 and '-'")
            .nullable()
            .default(null),
          claims: z
            .strictObject({
              username: claimPath.default("preferred_username"),
              groups: claimPath.default("groups"),
              scopes: claimPath.default("scope"),
            })
            .prefault({}),
        }),
      )
      .min(1),
    revocationFile: file.nullable().default(null),
  });

/** Segments that no client or server cleans, decodes or cuts off (threat row M10). */
const vaultPath = z
  .string()
  .regex(/^[\w-][\w.-]{0,127}(\/[\w-][\w.-]{0,127})*$/, "must be segments of A-Z a-z 0-9 . _ - with / between them");

const placement = {
  header: headerName.default("authorization"),
  scheme: z
    .string()
    .regex(/^[\x21-\x7e]{0,64}$/, "must be one word of visible ASCII, or empty")
    .default("Bearer"),
};

function credentialSchema(
  file: z.ZodType<string, string>,
  secret: z.ZodType<Secret, { file: string } | { env: string }>,
) {
  const vault = z.strictObject({
    mount: vaultPath,
    path: z.string().min(1),
    field: z.string().min(1).default("token"),
    requireOwner: z.boolean().default(false),
    ...placement,
  });
  const exchange = exchangeSchema({ url: absoluteUrl, file, secret, placement });
  const fixed = z.strictObject({ file: z.string(), ...placement }).transform(({ file, header, scheme }, ctx) => {
    const read = secret.safeParse({ file });
    if (read.success) return { header, scheme, value: read.data };
    for (const issue of read.error.issues) ctx.addIssue(issue.message);
    return z.NEVER;
  });
  return z
    .strictObject({ vault, exchange, static: fixed, none: z.strictObject({}) })
    .partial()
    .transform((entry, ctx) => {
      if (Object.keys(entry).length !== 1) {
        ctx.addIssue("must name exactly one of vault, exchange, static, none");
        return z.NEVER;
      }
      if (entry.vault) return { kind: "vault" as const, ...entry.vault };
      if (entry.exchange) return { kind: "exchange" as const, ...entry.exchange };
      if (entry.static) return { kind: "static" as const, ...entry.static };
      return { kind: "none" as const, header: "authorization" };
    });
}

function vaultSchema(file: z.ZodType<string, string>, secret: z.ZodType<Secret, { file: string } | { env: string }>) {
  return z.strictObject({
    address: origin,
    auth: z
      .strictObject(
        {
          approle: z.strictObject({ mount: vaultPath.default("approle"), roleId: secret, secretId: secret }),
          token: secret,
        },
        // Those that take a caller's token, a plugin's among them, would show it to the Vault (threat rows G14, G15).
        {
          error: ({ code }) =>
            code === "unrecognized_keys" ? "is no way to log in: there are approle and token" : undefined,
        },
      )
      .partial()
      .refine((auth) => Object.keys(auth).length === 1, "must name exactly one of approle, token"),
    namespace: vaultPath.nullable().default(null),
    caFile: file.nullable().default(null),
    timeoutMs: positive.default(150),
    cacheTtlMs: positive.default(60_000),
  });
}

function secretSchema(readSecret: ReadSecret) {
  return z
    .union([z.strictObject({ file: z.string().min(1) }), z.strictObject({ env: z.string().min(1) })], {
      error: "a secret is {file: PATH} or {env: NAME}, never the value itself",
    })
    .transform((source, ctx) => {
      try {
        return new Secret(readSecret(source), () => readSecret(source));
      } catch (error) {
        ctx.addIssue(error instanceof Error ? error.message : "cannot be read");
        return z.NEVER;
      }
    });
}

function serverSchema(file: z.ZodType<string, string>, credential: ReturnType<typeof credentialSchema>) {
  return z.strictObject({
    url,
    prefix: z
      .string()
      .regex(/^[A-Za-z0-9_.-]{1,64}$/)
      .nullable()
      .default(null),
    callRouting: z.enum(["broker", "direct"]).nullable().default(null),
    allowQuery: z.boolean().default(false),
    timeoutMs: positive.default(30_000),
    caFile: file.nullable().default(null),
    credential: z
      .array(credential)
      .min(1, "an empty chain can never yield a credential; say [{none: {}}] for a server that wants none"),
    discovery: z
      .array(credential)
      .min(1, "an empty chain can never yield a credential; say [{none: {}}] to list the server without one")
      .default([{ kind: "none", header: "authorization" }]),
  });
}

const listenSchema = z
  .strictObject({
    authz: address.prefault("127.0.0.1:9001"),
    ops: address.prefault("127.0.0.1:9002"),
    broker: address.prefault("127.0.0.1:9003"),
    brokerOps: address.prefault("127.0.0.1:9004"),
    plaintext: z.boolean().default(false),
  })
  .prefault({});

const policySchema = (file: z.ZodType<string, string>) =>
  z.strictObject({
    path: file,
    rego: z.enum(["v1", "v0"]).default("v1"),
    headers: z.array(headerName).default([]),
    compat: z.enum(["authorino"]).nullable().default(null),
  });

const wristbandSchema = (file: z.ZodType<string, string>) =>
  z.strictObject({
    issuer: url,
    audience: z.string().min(1).default("mcp-broker"),
    keys: z.array(z.strictObject({ kid: z.string().regex(/^[\x21-\x7e]{1,256}$/), file })).min(1),
    header: headerName.default("x-authorized-tools"),
    ttlSeconds: positive.max(3600).default(300),
    jwksUrl: url.nullable().default(null),
  });

/** The shape and the defaults of `mcp-authz.yaml` (docs/configuration.md). Defaults live here and nowhere else. */
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
