// The section `wristband`. Pure.
import { z } from "zod";
import { headerName, positive, url, type FileSchema } from "./values.ts";

export const wristbandSchema = (file: FileSchema) =>
  z.strictObject({
    issuer: url,
    audience: z.string().min(1).default("mcp-broker"),
    keys: z.array(z.strictObject({ kid: z.string().regex(/^[\x21-\x7e]{1,256}$/), file })).min(1),
    header: headerName.default("x-authorized-tools"),
    ttlSeconds: positive.max(3600).default(300),
    jwksUrl: url.nullable().default(null),
  });
