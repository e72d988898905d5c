// The section `traces`: where spans of requests go, and which requests have some. Pure.
import { z } from "zod";
import { headerName, httpUrl, positive, type FileSchema } from "./values.ts";
import type { SecretSchema } from "./secret.ts";

const MAX_PER_SECOND = 10_000;

export function tracesSchema(file: FileSchema, secret: SecretSchema) {
  return z.strictObject({
    endpoint: httpUrl.meta({
      description:
        "where a collector takes traces by OTLP over HTTP: the whole URL, most often ending in `/v1/traces`; `OTEL_…` variables are not read ([traces](traces.md))",
    }),
    sample: z.number().min(0).max(1).default(0.01).meta({
      description: "the share of requests that are recorded, 0 to 1, where `parent` leaves it to us",
    }),
    parent: z.enum(["ignore", "follow"]).default("ignore").meta({
      description:
        "`ignore`: the `sampled` flag of a request's `traceparent` decides nothing; `follow`: it decides, where only proxies of yours can have set it",
    }),
    perSecond: z
      .int()
      .min(1)
      .max(MAX_PER_SECOND)
      .default(100)
      .meta({ description: `traces that one process begins in a second; at most ${MAX_PER_SECOND}` }),
    headers: z.record(headerName, secret).default({}).meta({
      description:
        "`{authorization: {file: …}}`: headers for the collector with their whole values, each `{file: …}` or `{env: …}`",
    }),
    caFile: file
      .nullable()
      .default(null)
      .meta({ description: "TLS is always verified, CA and host name", unset: "the system's" }),
    timeoutMs: positive.default(10_000).meta({ description: "time for one request to the collector" }),
  });
}
