// The section `identity`: whose access tokens are accepted, and what is read of them. Pure.
import { z } from "zod";
import { hostName, url, type FileSchema } from "./values.ts";

const claimPath = z.string().min(1);

export const identitySchema = (file: FileSchema) =>
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
