// One entry of a credential chain: `static`, `none`, `vault` or `exchange` (docs/credentials.md). Pure.
import { z } from "zod";
import type { SecretSchema } from "./secret.ts";
import { absoluteUrl, headerName, type FileSchema } from "./values.ts";
import { vaultPath } from "./vault.ts";

const placement = {
  header: headerName.default("authorization"),
  scheme: z
    .string()
    .regex(/^[\x21-\x7e]{0,64}$/, "must be one word of visible ASCII, or empty")
    .default("Bearer"),
};

/** RFC 6749 §3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;
const SCOPES = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

/** The kind `exchange` (RFC 8693). */
function exchangeSchema(file: FileSchema, secret: SecretSchema) {
  return z.strictObject({
    tokenEndpoint: absoluteUrl.refine(
      isAsSent,
      "must have a path, written as it is sent: no dot segments, spaces or characters that need an escape",
    ),
    issuer: absoluteUrl.nullable().default(null),
    profile: z.enum(["rfc8693", "keycloak"]).default("rfc8693"),
    mode: z.enum(["impersonation", "delegation"]).default("impersonation"),
    client: z.strictObject({ id: z.string().min(1), secret }),
    audience: z.string().min(1),
    scope: z
      .string()
      .regex(SCOPES, "names scopes with one space between them; to ask for none, leave it out")
      .nullable()
      .default(null),
    allowScopes: z.array(z.string().regex(SCOPE, "a scope is visible ASCII without spaces")).default([]),
    timeoutMs: z.int().positive().default(500),
    caFile: file.nullable().default(null),
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
    mount: vaultPath,
    path: z.string().min(1),
    field: z.string().min(1).default("token"),
    requireOwner: z.boolean().default(false),
    ...placement,
  });
  const exchange = exchangeSchema(file, secret);
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
