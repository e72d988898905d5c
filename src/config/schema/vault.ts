// The section `vault`: the one Vault or OpenBao of all servers. Pure.
import { z } from "zod";
import type { SecretSchema } from "./secret.ts";
import { origin, positive, type FileSchema } from "./values.ts";

/** Segments that no client or server cleans, decodes or cuts off (threat row M10). */
export const vaultPath = z
  .string()
  .regex(/^[\w-][\w.-]{0,127}(\/[\w-][\w.-]{0,127})*$/, "must be segments of A-Z a-z 0-9 . _ - with / between them");

export function vaultSchema(file: FileSchema, secret: SecretSchema) {
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
