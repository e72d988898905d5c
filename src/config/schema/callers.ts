// Callers without an access token: the keys of `identity` beside `issuers`. Pure.
import { z } from "zod";
import { headerName, serverName } from "./values.ts";

const sha256 = z
  .string()
  .regex(
    /^[0-9a-f]{64}$/,
    "must be the SHA-256 of the key, 64 hex digits in lower case: the key itself is not for files",
  );
const name = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, "must be 1 to 63 of a-z, 0-9, '.', '_' and '-'");
const factText = z.string().min(1).max(256);

/** What policy reads of a caller that has no claims of an issuer. */
export const factsSchema = {
  username: factText
    .nullable()
    .default(null)
    .meta({ description: "`input.identity.username`, and `{username}` of paths", unset: "none" }),
  groups: z.array(factText).default([]).meta({ description: "`input.identity.groups`" }),
  scopes: z.array(factText).default([]).meta({ description: "`input.identity.scopes`" }),
  claims: z
    .record(z.string().min(1), z.union([factText, z.number(), z.boolean(), z.array(factText)]))
    .default({})
    .meta({ description: "`input.identity.claims`, as `{plan: gold}`" }),
};

export const apiKeysSchema = z
  .array(
    z.strictObject({
      name: name.meta({ description: "who has the key: `input.identity.subject`, and the user of HTTP Basic" }),
      sha256: z
        .preprocess((given) => (typeof given === "string" ? [given] : given), z.array(sha256).min(1).max(4))
        .meta({ description: "the key's SHA-256 in hex, or several while it is replaced" }),
      header: headerName
        .nullable()
        .default("x-api-key")
        .meta({ description: "the header that carries it; `null` for none" }),
      bearer: z.boolean().default(false).meta({ description: "accept it as `Authorization: Bearer`" }),
      basic: z.boolean().default(false).meta({ description: "accept it as the password of HTTP Basic" }),
      servers: z
        .array(serverName)
        .nullable()
        .default(null)
        .meta({ description: "the servers that it opens; policy decides all the same", unset: "all" }),
      expires: z.iso
        .datetime({ error: "must be a time in UTC, as 2027-01-31T00:00:00Z" })
        .nullable()
        .default(null)
        .meta({ description: "the time from which it is refused", unset: "none" }),
      kind: z.enum(["user", "machine"]).default("machine").meta({ description: "`input.identity.kind`" }),
      ...factsSchema,
    }),
  )
  .max(256)
  .default([])
  .meta({ description: "keys of callers without an access token ([callers](callers.md#keys))" });

const proxyName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,54}$/, "must be 1 to 55 of a-z, 0-9 and '-'");
const proxyHeader = (fact: string) =>
  headerName
    .nullable()
    .default(null)
    .meta({ description: `the header of its ${fact}`, unset: "none" });

export const proxiesSchema = z
  .array(
    z.strictObject({
      name: proxyName.meta({ description: "`input.identity.issuer` is `urn:mcp-authz:proxy:NAME`" }),
      sans: z.array(z.string().min(1).max(512)).min(1).meta({
        description: "names of its client certificate, whole: the first URI of its SAN, else the first DNS name",
      }),
      headers: z.strictObject({
        subject: headerName.meta({ description: "the header of the caller's `subject`" }),
        username: proxyHeader("username"),
        groups: proxyHeader("groups, with commas between them"),
        scopes: proxyHeader("scopes, with spaces between them"),
      }),
      kind: z.enum(["user", "machine"]).default("user").meta({ description: "`input.identity.kind` of its callers" }),
    }),
  )
  .max(16)
  .default([])
  .meta({
    description: "proxies that authenticate callers and name them in headers ([callers](callers.md#a-trusted-proxy))",
  });

export const developmentSchema = z
  .strictObject({
    subject: factText.meta({ description: "`input.identity.subject` of every request without a credential" }),
    kind: z.enum(["user", "machine"]).default("user").meta({ description: "`input.identity.kind`" }),
    ...factsSchema,
  })
  .nullable()
  .default(null)
  .meta({
    description: "who comes without a credential, on one machine for development: every listener must be loopback",
  });
