// The section `sessions`. Pure.
import { z } from "zod";
import { address, positive, type FileSchema } from "./values.ts";

export const sessionsSchema = (file: FileSchema) =>
  z.strictObject({
    keys: z
      .array(
        z.strictObject({
          id: z
            .string()
            .regex(/^[A-Za-z0-9_.-]{1,32}$/, "is 1 to 32 letters, digits, '.', '_' or '-'")
            .meta({ description: "the key's name; the first key seals, all open: so a new one is put before the old" }),
          file: file.meta({ description: "32 random bytes: `openssl rand -out FILE 32`" }),
        }),
      )
      .min(1)
      .max(16),
    idleSeconds: positive.max(86_400).default(3600).meta({ description: "a session ends when it is not used so long" }),
    absoluteSeconds: positive.max(604_800).default(43_200).meta({ description: "a session ends then, used or not" }),
    address: address.nullable().default(null).meta({
      description: "where other replicas of the broker reach this one: `host:port`",
      unset: "`listen.broker`, with this machine's first address for `0.0.0.0`",
    }),
    caFile: file.nullable().default(null).meta({
      description: "CA of the certificates that replicas show each other; each shows that of `tls.broker`",
      unset: "`tls.broker.clientCaFile`, else the system's",
    }),
    serverName: z.string().min(1).nullable().default(null).meta({
      description: "the name in these certificates",
      unset: "the host of `address`",
    }),
  });

/** Of the endpoints of several servers. */
export const legacySseSchema = z.boolean().default(false).meta({
  description:
    "for clients of HTTP+SSE (2024-11-05): `/sse` beside `/mcp`, and one beside each virtual server's endpoint; needs `sessions`",
});
