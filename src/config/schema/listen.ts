// The sections `listen` and `tls.<listener>`. Pure.
import { z } from "zod";
import { address, type FileSchema } from "./values.ts";

export const listenSchema = z
  .strictObject({
    authz: address.prefault("127.0.0.1:9001"),
    ops: address.prefault("127.0.0.1:9002"),
    broker: address.prefault("127.0.0.1:9003"),
    brokerOps: address.prefault("127.0.0.1:9004"),
    plaintext: z.boolean().default(false),
  })
  .prefault({});

export function tlsSchema(file: FileSchema) {
  const listener = z.strictObject({
    certFile: file,
    keyFile: file,
    clientCaFile: file.nullable().default(null),
    clientSans: z.array(z.string().min(1)).default([]),
  });
  return z
    .strictObject({ authz: listener, ops: listener, broker: listener, brokerOps: listener })
    .partial()
    .prefault({});
}
