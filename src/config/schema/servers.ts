// The section `servers`. Pure.
import { z } from "zod";
import type { credentialSchema } from "./credential.ts";
import { positive, url, type FileSchema } from "./values.ts";

export function serverSchema(file: FileSchema, credential: ReturnType<typeof credentialSchema>) {
  return z.strictObject({
    url,
    prefix: z
      .string()
      .regex(/^[A-Za-z0-9_.-]{1,64}$/)
      .nullable()
      .default(null),
    callRouting: z.enum(["broker", "direct"]).nullable().default(null),
    allowQuery: z.boolean().default(false),
    timeoutMs: positive.default(30_000),
    caFile: file.nullable().default(null),
    credential: z
      .array(credential)
      .min(1, "an empty chain can never yield a credential; say [{none: {}}] for a server that wants none"),
    discovery: z
      .array(credential)
      .min(1, "an empty chain can never yield a credential; say [{none: {}}] to list the server without one")
      .default([{ kind: "none", header: "authorization" }]),
  });
}
