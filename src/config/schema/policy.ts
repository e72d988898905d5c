// The section `policy`. Pure.
import { z } from "zod";
import { headerName, type FileSchema } from "./values.ts";

export const policySchema = (file: FileSchema) =>
  z.strictObject({
    path: file,
    rego: z.enum(["v1", "v0"]).default("v1"),
    headers: z.array(headerName).default([]),
    compat: z.enum(["authorino"]).nullable().default(null),
  });
