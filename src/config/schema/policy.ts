// The section `policy`. Pure.
import { z } from "zod";
import { zoneFault } from "../../authz/local-time.ts";
import { headerName, type FileSchema } from "./values.ts";

/** The keys of the policy that decides what is no MCP endpoint. */
const envoyPolicySchema = z
  .strictObject({
    package: z
      .string()
      .regex(/^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/, "must be a package of Rego, as envoy.authz")
      .refine((name) => !/^(?:mcp|mcp_authz|catalog)(?:\.|$)/.test(name), "is a package of the gateway's own")
      .default("envoy.authz")
      .meta({
        description:
          "a policy written for opa-envoy-plugin, in `policy.path`, that decides the host's paths beside the MCP endpoints ([opa-envoy](opa-envoy.md))",
      }),
    rule: z
      .string()
      .regex(/^[A-Za-z_]\w*$/, "must be the name of a rule")
      .nullable()
      .default("allow")
      .meta({ description: "the rule of the package that decides; `null` for the whole package as one object" }),
    truncatedBody: z.enum(["refuse", "ask"]).default("refuse").meta({
      description: "a body that the data plane cut off: refused, or for the policy to decide by `input.truncated_body`",
    }),
    passHeaders: z
      .array(z.enum(["authorization", "cookie"]))
      .default([])
      .meta({
        description: "what else of the client goes to these paths' servers; a credential for the gateway never does",
      }),
  })
  .meta({ unset: "paths that are no MCP endpoint are 404" });

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
    mode: z.enum(["mcp", "envoy"]).default("mcp").meta({
      description:
        "`envoy`: there are no MCP endpoints, and a policy written for opa-envoy-plugin decides every path ([opa-envoy](opa-envoy.md))",
    }),
    envoy: envoyPolicySchema.nullable().default(null),
    openToAll: z.boolean().default(false).meta({
      description:
        "with `compat: authorino`, `true` says that a policy is meant which allows every caller while other rules of it read the caller; else it is refused",
    }),
  });
