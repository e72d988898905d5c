// One entry of a credential chain: one key for each kind (docs/credentials.md). Pure.
import { z } from "zod";
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

export function credentialSchema(file: FileSchema, secret: SecretSchema) {
  const vault = z.strictObject({
    mount: vaultPath.meta({ description: "a KV version 2 mount" }),
    path: z
      .string()
      .min(1)
      .meta({ description: "of segments and `{username}`, `{subject}`, `{issuerAlias}`, `{server}`, `{host}`" }),
    field: z.string().min(1).default("token").meta({ description: "the field of the entry" }),
    requireOwner: z
      .boolean()
      .default(false)
      .meta({ description: "the entry's `custom_metadata` must name the caller" }),
    ...placement,
  });
  const exchange = exchangeSchema(file, secret);
  const client_credentials = clientCredentialsSchema(file, secret);
  const fixed = z
    .strictObject({ file: z.string().meta({ description: "a file with the credential" }), ...placement })
    .transform(({ file, header, scheme }, ctx) => {
      const read = secret.safeParse({ file });
      if (read.success) return { header, scheme, value: read.data };
      for (const issue of read.error.issues) ctx.addIssue(issue.message);
      return z.NEVER;
    });
  return z
    .strictObject({
      none: z
        .strictObject({})
        .meta({ description: "the server gets no credential, and never the caller's token", unset: "`{}`" }),
      static: fixed,
      vault,
      exchange,
      client_credentials,
    })
    .partial()
    .transform((entry, ctx) => {
      if (Object.keys(entry).length !== 1) {
        ctx.addIssue("must name exactly one of vault, exchange, client_credentials, static, none");
        return z.NEVER;
      }
      if (entry.vault) return { kind: "vault" as const, ...entry.vault };
      if (entry.exchange) return { kind: "exchange" as const, ...entry.exchange };
      if (entry.client_credentials) return { kind: "client_credentials" as const, ...entry.client_credentials };
      if (entry.static) return { kind: "static" as const, ...entry.static };
      return { kind: "none" as const, header: "authorization" };
    })
    .meta({ minProperties: 1, maxProperties: 1 }); // for the JSON Schema, which does not know the transform
}
