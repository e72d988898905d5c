// A secret in the configuration: `{file}` or `{env}`, read with the configuration and never written in it.
import { z } from "zod";
import { Secret } from "../../secret/secret.ts";

/** Turns `{file}` or `{env}` into the secret's text, or throws a sentence that says what is wrong. */
export type ReadSecret = (source: { file: string } | { env: string }) => string;

export type SecretSchema = ReturnType<typeof secretSchema>;

export function secretSchema(readSecret: ReadSecret) {
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
