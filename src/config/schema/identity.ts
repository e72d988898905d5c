// The section `identity`: whose access tokens are accepted, and what is read of them. Pure.
import { z } from "zod";
import { apiKeysSchema, developmentSchema, proxiesSchema } from "./callers.ts";
import { hostName, httpUrl, url, type FileSchema } from "./values.ts";

const claimPath = z.string().min(1);

const claimsSchema = z
  .strictObject({
    subject: claimPath.default("sub").meta({
      description: "where the subject stands: who a caller is, unique at the issuer and never another's later",
    }),
    username: claimPath.default("preferred_username").meta({
      description: "where the username stands: a claim's name, or a JSON Pointer if it begins with `/`",
    }),
    groups: claimPath.default("groups").meta({ description: "where the groups stand" }),
    scopes: claimPath.default("scope").meta({ description: "where the scopes stand" }),
  })
  .prefault({});

const machineSchema = z
  .strictObject({
    claim: claimPath.meta({ description: "where it stands: a claim's name or a JSON Pointer" }),
    values: z.array(z.string().min(1)).min(1).meta({ description: "values that a program's token has there" }),
  })
  .nullable()
  .default(null)
  .meta({
    description: "the claim by which `input.identity.kind` is `machine` ([callers](callers.md#people-and-programs))",
    unset: "the signs of known issuers",
  });

const issuerSchema = (file: FileSchema) =>
  z.strictObject({
    issuer: url.meta({ description: "compared byte for byte with `iss`" }),
    audiences: z
      .array(z.string().min(1))
      .min(1, "name at least one audience: a token for anybody is a token for nobody")
      .meta({ description: "accepted at every endpoint; the endpoint's own URL is always accepted" }),
    algorithms: z
      .array(z.enum(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]))
      .min(1)
      .meta({ description: "RS256 … PS512, ES256 … ES512, EdDSA" }),
    tokenType: z.enum(["at+jwt", "jwt"]).default("at+jwt").meta({
      description:
        "`jwt` for issuers that cannot send `at+jwt`: then what looks like an ID, logout or refresh token is refused",
    }),
    audienceClaim: claimPath.nullable().default(null).meta({
      description:
        "the claim that is held against `audiences` where a token has no `aud`, such as `client_id` with Amazon Cognito; a claim's name or a JSON Pointer",
      unset: "none: a token without `aud` is refused",
    }),
    jwksUri: httpUrl.nullable().default(null).meta({
      description: "where the keys are, taken as written: for an issuer that is reached by another name from here",
      unset: "from the issuer's metadata",
    }),
    caFile: file.nullable().default(null).meta({
      description: "the CA of its metadata and keys, wherever these are; TLS is always verified, CA and host name",
      unset: "the system's",
    }),
    allowedHosts: z
      .array(hostName)
      .default([])
      .meta({ description: "further hosts that the issuer's metadata may point to" }),
    alias: z
      .string()
      .regex(/^[a-z0-9-]{1,63}$/, "must be 1 to 63 of a-z, 0-9 and '-'")
      .nullable()
      .default(null)
      .meta({ description: "a short name (a-z, 0-9, `-`) that stands for the issuer in `{issuerAlias}`" }),
    dpop: z.enum(["off", "accepted", "required"]).default("off").meta({
      description:
        "tokens that are bound to a key (DPoP, RFC 9449): refused, taken with a proof, or the only ones that are taken ([callers](callers.md#tokens-that-are-bound-to-a-key))",
    }),
    machine: machineSchema,
    claims: claimsSchema,
  });

export const identitySchema = (file: FileSchema) =>
  z.strictObject({
    issuers: z.array(issuerSchema(file)).min(1),
    apiKeys: apiKeysSchema,
    proxies: proxiesSchema,
    development: developmentSchema,
    revocationFile: file
      .nullable()
      .default(null)
      .meta({ description: "revoked tokens, sessions and subjects: [operations](operations.md#revocation)" }),
  });
