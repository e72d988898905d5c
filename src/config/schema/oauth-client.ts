// The gateway as a client of an IdP: its id, and one of the ways to prove it (RFC 6749 §2.3.1, RFC 7523 §2.2). Pure.
import { z } from "zod";
import { KID } from "../../jose/key-set.ts";
import type { SecretSchema } from "./secret.ts";

const ONE = "exactly one of secret, privateKey and clientAssertion says how the client proves itself";

export function clientSchema(secret: SecretSchema) {
  const privateKey = z.strictObject({
    key: secret.meta({ description: "a private key, PEM: `{file: …}` or `{env: …}`; for `private_key_jwt`" }),
    kid: z.string().regex(KID).nullable().default(null).meta({
      description: "the name under which the IdP knows the key",
      unset: "no `kid`",
    }),
    algorithm: z.enum(["ES256", "RS256", "PS256"]).default("ES256").meta({ description: "of the key" }),
    audience: z.string().min(1).nullable().default(null).meta({
      description: "`aud` of what is signed: some IdPs want their issuer there",
      unset: "`tokenEndpoint`",
    }),
  });
  return z
    .strictObject({
      id: z.string().min(1).meta({ description: "the gateway's client at the IdP" }),
      secret: secret.optional().meta({ description: "`{file: …}` or `{env: …}`", unset: "one of the three" }),
      auth: z.enum(["client_secret_basic", "client_secret_post"]).default("client_secret_basic").meta({
        description: "where the secret stands: in the header or in the form",
      }),
      privateKey: privateKey.optional(),
      clientAssertion: secret.optional().meta({
        description:
          "`{file: …}` with a JWT that others renew, such as a projected service account token; no secret is needed",
        unset: "one of the three",
      }),
    })
    .refine(
      (client) =>
        [client.secret, client.privateKey, client.clientAssertion].filter((proof) => proof !== undefined).length === 1,
      ONE,
    );
}
