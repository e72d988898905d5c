// The section `vault`: the one Vault or OpenBao of all servers. Pure.
import { z } from "zod";
import type { SecretSchema } from "./secret.ts";
import { origin, positive, type FileSchema } from "./values.ts";

/** Segments that no HTTP client or server normalizes, decodes or cuts off (threat model: M10). */
export const vaultPath = z
  .string()
  .regex(/^[\w-][\w.-]{0,127}(\/[\w-][\w.-]{0,127})*$/, "must be segments of A-Z a-z 0-9 . _ - with / between them");

const callerLogin = z
  .strictObject({
    mount: vaultPath.default("jwt").meta({ description: "where the method `jwt` is mounted" }),
    role: vaultPath.meta({ description: "the role of the method" }),
  })
  .nullable()
  .default(null)
  .meta({
    description:
      "`{mount: jwt, role: …}`: where callers log in with their own tokens, for credentials with `asCaller`; the Vault sees them",
    unset: "nowhere",
  });

export function vaultSchema(file: FileSchema, secret: SecretSchema) {
  return z.strictObject({
    address: origin.meta({ description: "of Vault or OpenBao: scheme, host and port" }),
    auth: z
      .strictObject(
        {
          token: secret.meta({
            description: "`{file: …}` or `{env: …}`; for a trial: nobody can replace it when it ends",
            unset: "one of the three",
          }),
          kubernetes: z.strictObject({
            mount: vaultPath.default("kubernetes").meta({ description: "where the Kubernetes method is mounted" }),
            role: vaultPath.meta({ description: "the role of the method", unset: "required there" }),
            jwt: secret.meta({
              description: "`{file: …}` with the Pod's projected service account token; read at each log-in",
              unset: "one of the three",
            }),
          }),
          approle: z.strictObject({
            mount: vaultPath.default("approle").meta({ description: "where the AppRole method is mounted" }),
            roleId: secret.meta({ description: "`{file: …}` or `{env: …}`", unset: "one of the three" }),
            secretId: secret.meta({ description: "`{file: …}` or `{env: …}`", unset: "one of the three" }),
          }),
        },
        // Methods that take a caller's token, plugins among them, would show it to the Vault (threat model: G14, G15).
        {
          error: ({ code }) =>
            code === "unrecognized_keys" ? "is no way to log in: there are approle, kubernetes and token" : undefined,
        },
      )
      .partial()
      .refine((auth) => Object.keys(auth).length === 1, "must name exactly one of approle, kubernetes, token"),
    callerLogin,
    namespace: vaultPath.nullable().default(null).meta({ description: "sent as `X-Vault-Namespace`" }),
    caFile: file
      .nullable()
      .default(null)
      .meta({ description: "TLS is always verified, CA and host name", unset: "the system's" }),
    timeoutMs: positive.default(150).meta({ description: "time for one read; log-ins have 2 s at least" }),
    cacheTtlMs: positive.default(60_000).meta({ description: "how long a credential is kept, ±10 %" }),
  });
}
