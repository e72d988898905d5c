// The section `policy`. Pure.
import { z } from "zod";
import { zoneFault } from "../../authz/local-time.ts";
import { headerName, type FileSchema } from "./values.ts";

export const policySchema = (file: FileSchema) =>
  z.strictObject({
    path: file.meta({ description: "a folder of `.rego` files and `data.yaml`, or a bundle made by `build-policy`" }),
    rego: z.enum(["v1", "v0"]).default("v1").meta({ description: "`v0` for older policies" }),
    headers: z.array(headerName).default([]).meta({ description: "request headers that policy may see" }),
    zones: z
      .array(
        z.string().superRefine((name, ctx) => {
          const fault = zoneFault(name);
          if (fault !== null) ctx.addIssue(fault);
        }),
      )
      .max(16)
      .default([])
      .meta({ description: "time zones, as `Europe/Berlin`, in which rules see the time: `input.request.local`" }),
    compat: z
      .enum(["authorino"])
      .nullable()
      .default(null)
      .meta({ description: "`authorino` adds `input.auth.identity`" }),
    revisions: file.nullable().default(null).meta({
      description:
        "a folder where `serve` keeps the last 50 policies that were live, so that `why` judges a past decision by its own; made with mode 0700 where it is not there",
    }),
    openToAll: z.boolean().default(false).meta({
      description:
        "with `compat: authorino`, `true` says that a policy is meant which allows every caller while other rules of it read the caller; else it is refused",
    }),
  });
