// One entry of a credential chain: one key for each kind (docs/credentials.md). Pure.
import { z } from "zod";
import { inQuery } from "../../authz/credential-parts.ts";
import type { Secret } from "../../secret/secret.ts";
import { assertionKeys } from "./assertion.ts";
import { clientSchema } from "./oauth-client.ts";
import type { SecretSchema } from "./secret.ts";
import { absoluteUrl, headerName, scope, scopes, type FileSchema } from "./values.ts";
import { vaultPath } from "./vault.ts";

const placement = {
  header: headerName.default("authorization").meta({ description: "the header that carries it" }),
  scheme: z
    .string()
    .regex(/^[\x21-\x7e]{0,64}$/, "must be one word of visible ASCII, or empty")
    .default("Bearer")
    .meta({ description: 'the word before it; `""` for none' }),
};

/** Where one value stands: in a header, or in the query for servers that want it there. */
const placementOrQuery = {
  ...placement,
  in: z.enum(["header", "query"]).default("header").meta({
    description: "`query` for a server that wants it in its URL; not with `callRouting: direct`",
  }),
  name: z
    .string()
    .regex(/^[A-Za-z0-9_.~-]{1,64}$/, "must be a parameter's name, such as api_key")
    .nullable()
    .default(null)
    .meta({ description: "with `in: query`: the parameter's name", unset: "required there" }),
};

const severalHeaders = <Of extends z.ZodRawShape>(of: Of) =>
  z
    .array(z.strictObject({ name: headerName.meta({ description: "the header" }), ...of, scheme: placement.scheme }))
    .min(1)
    .max(8)
    .optional();

/** The place as one name. */
function placeOf({
  in: where,
  name,
  header,
  scheme,
}: {
  in: string;
  name: string | null;
  header: string;
  scheme: string;
}) {
  return where === "query" && name !== null ? { header: inQuery(name), scheme: "" } : { header, scheme };
}

const tokenEndpoint = absoluteUrl
  .refine(
    isAsSent,
    "must have a path, written as it is sent: no dot segments, spaces or characters that need an escape",
  )
  .meta({ description: "the IdP's token endpoint, written as it is sent" });

const requestMs = z
  .int()
  .positive()
  .default(500)
  .meta({ description: "time for one request; smaller than `checkTimeoutMs`" });

const caFile = (file: FileSchema) =>
  file
    .nullable()
    .default(null)
    .meta({ description: "TLS is always verified, CA and host name", unset: "the system's" });

/** The kind `client_credentials` (RFC 6749 §4.4). */
function clientCredentialsSchema(file: FileSchema, secret: SecretSchema) {
  return z.strictObject({
    tokenEndpoint,
    client: clientSchema(secret),
    scope: scopes.nullable().default(null).meta({ description: "what is asked for, with one space between scopes" }),
    audience: z.string().min(1).nullable().default(null).meta({
      description: "sent as `audience`; a JWT must name it in `aud`. For IdPs that know the parameter",
      unset: "not sent",
    }),
    resource: absoluteUrl.nullable().default(null).meta({
      description: "sent as `resource` (RFC 8707); a JWT must name it in `aud`. For IdPs that know the parameter",
      unset: "not sent",
    }),
    timeoutMs: requestMs,
    caFile: caFile(file),
    ...placement,
  });
}

/** The kind `exchange` (RFC 8693). */
function exchangeSchema(file: FileSchema, secret: SecretSchema) {
  return z.strictObject({
    tokenEndpoint,
    issuer: absoluteUrl.nullable().default(null).meta({
      description:
        "whose callers' tokens it is shown; required with several `identity.issuers`. A caller of another has none here",
      unset: "the only one",
    }),
    profile: z
      .enum(["rfc8693", "keycloak"])
      .default("rfc8693")
      .meta({ description: "`keycloak` for Keycloak: how answers are read" }),
    mode: z.enum(["impersonation", "delegation"]).default("impersonation").meta({
      description:
        "`delegation`: the gateway's own token goes along as `actor_token`, and the answer must name it in `act`; not with Keycloak",
    }),
    client: clientSchema(secret),
    audience: z.string().min(1).meta({ description: "the server, as the IdP knows it" }),
    scope: scopes.nullable().default(null).meta({ description: "what is asked for, with one space between scopes" }),
    allowScopes: z.array(scope).default([]).meta({ description: "scopes that may be granted besides" }),
    timeoutMs: requestMs,
    caFile: caFile(file),
    ...placement,
  });
}

/** The path goes out byte for byte: what a URL parser would clean must not be in it. */
function isAsSent(text: string): boolean {
  const parsed = URL.parse(text);
  const path = /^[a-z]+:\/\/[^/?]*(.*)$/i.exec(text)?.[1];
  return parsed !== null && path === `${parsed.pathname}${parsed.search}`;
}

interface Query {
  readonly in: "header" | "query";
  readonly name: string | null;
}

/** The parameter's name is for `in: query` and must stand there. */
function checkQuery({ in: where, name }: Query, ctx: z.RefinementCtx): void {
  if (where === "query" && name === null) addIssue(ctx, "name", "is required with in: query");
  if (where === "header" && name !== null) addIssue(ctx, "name", "is for in: query; a header is named by header");
}

function addIssue(ctx: z.RefinementCtx, key: string, message: string): void {
  ctx.addIssue({ code: "custom", path: [key], message });
}

/** For an engine that makes a secret with a lease for each who asks. */
const dynamic = z
  .strictObject({
    idleSeconds: z.int().min(1).max(86_400).default(300).meta({
      description: "time without a call after which the lease is revoked; longer than the longest call",
    }),
  })
  .nullable()
  .default(null)
  .meta({
    description:
      "`{}` for an engine that makes secrets with leases, such as `database` or `rabbitmq`: each caller gets her own, which is renewed while it is used ([dynamic secrets](credentials.md#dynamic-secrets))",
    unset: "the mount is KV version 2",
  });

const SAYS_ALL = "says it all: leave out file, in and name";

function vaultKind() {
  const field = z.string().min(1).meta({ description: "the field of the entry" });
  return z
    .strictObject({
      mount: vaultPath.meta({ description: "a KV version 2 mount, or with `dynamic` that of an engine" }),
      path: z.string().min(1).meta({
        description:
          "of segments and `{username}`, `{subject}`, `{issuerAlias}`, `{server}`, `{host}`, `{claim:NAME}`, `{subject:base32}`",
      }),
      field: z.string().min(1).default("token").meta({ description: "the field of the entry" }),
      headers: severalHeaders({ field }).meta({
        description: "several headers of one entry, in place of `field`, `header` and `scheme`",
        unset: "one header",
      }),
      dynamic,
      asCaller: z.boolean().default(false).meta({
        description:
          "ask with what the caller's own token got at `vault.callerLogin`, so that the Vault's policies decide",
      }),
      requireOwner: z
        .boolean()
        .default(false)
        .meta({ description: "the entry's `custom_metadata` must name the caller" }),
      ...placementOrQuery,
    })
    .transform(({ headers, in: where, name, ...vault }, ctx) => {
      checkQuery({ in: where, name }, ctx);
      if (headers !== undefined && where === "query") addIssue(ctx, "headers", SAYS_ALL);
      const [first, ...more] = (headers ?? []).map(({ name: header, ...of }) => ({ header, ...of }));
      return { kind: "vault" as const, ...vault, ...placeOf({ ...vault, in: where, name }), ...first, more };
    });
}

function staticKind(secret: SecretSchema) {
  const read = (path: string | undefined, ctx: z.RefinementCtx): Secret => {
    const found = path === undefined ? null : secret.safeParse({ file: path });
    if (found?.success === true) return found.data;
    for (const { message } of found?.error.issues ?? [{ message: "must name file, or headers" }]) ctx.addIssue(message);
    return z.NEVER;
  };
  return z
    .strictObject({
      file: z
        .string()
        .optional()
        .meta({ description: "a file with the credential", unset: "required without `headers`" }),
      headers: severalHeaders({ file: z.string().meta({ description: "a file with its value" }) }).meta({
        description: "several headers, in place of `file`, `header` and `scheme`",
        unset: "one header",
      }),
      ...placementOrQuery,
    })
    .transform((entry, ctx) => {
      checkQuery(entry, ctx);
      const { headers = [], file } = entry;
      if (headers.length > 0 && (entry.in === "query" || file !== undefined)) addIssue(ctx, "headers", SAYS_ALL);
      const [first, ...more] = headers.map(({ name: header, scheme, file: path }) => {
        return { header, scheme, value: read(path, ctx) };
      });
      const one = first ?? { ...placeOf(entry), value: read(file, ctx) };
      return { kind: "static" as const, ...one, more };
    });
}

const KINDS = ["vault", "exchange", "client_credentials", "assertion", "static", "none"] as const;

export function credentialSchema(file: FileSchema, secret: SecretSchema) {
  return z
    .strictObject({
      none: z
        .strictObject({})
        .transform(() => ({ kind: "none" as const, header: "authorization" }))
        .meta({ description: "the server gets no credential, and never the caller's token", unset: "`{}`" }),
      static: staticKind(secret),
      vault: vaultKind(),
      exchange: exchangeSchema(file, secret).transform((entry) => ({ kind: "exchange" as const, ...entry })),
      client_credentials: clientCredentialsSchema(file, secret).transform((entry) => ({
        kind: "client_credentials" as const,
        ...entry,
      })),
      assertion: z
        .strictObject({ ...assertionKeys, ...placement })
        .transform((entry) => ({ kind: "assertion" as const, ...entry }))
        .meta({ description: "who calls, signed by the gateway for this call; needs `assertions`", unset: "`{}`" }),
    })
    .partial()
    .transform((entry, ctx) => {
      const [one, ...others] = KINDS.flatMap((kind) => entry[kind] ?? []);
      if (one !== undefined && others.length === 0) return one;
      ctx.addIssue(`must name exactly one of ${KINDS.join(", ")}`);
      return z.NEVER;
    })
    .meta({ minProperties: 1, maxProperties: 1 }); // for the JSON Schema, which does not know the transform
}
