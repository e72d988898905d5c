// Keys at the top of the configuration that say how a request travels, is refused and waits. Pure.
import { z } from "zod";
import { positive } from "./values.ts";

const denialForm = z.enum(["jsonrpc", "http", "isError"]);

export const requestKeys = {
  callRouting: z.enum(["broker", "direct"]).default("broker").meta({
    description:
      "how calls travel: `broker` relays them ([broker.md](broker.md)), `direct` sends them from Envoy straight to the server; per server the same key",
  }),
  denial: z
    .union([denialForm, z.strictObject({ legacy: denialForm, modern: denialForm })])
    .default("jsonrpc")
    .meta({
      description:
        "how a refused request looks: `jsonrpc` is 200 with a JSON-RPC error; `http` is the refusal's status; `isError` makes of each refused `tools/call` a tool's result that the model reads; or `{legacy: …, modern: …}` by the client's revision ([refusals.md](refusals.md))",
    }),
  checkTimeoutMs: positive.default(800).meta({ description: "time for one decision; later is refused" }),
  drainDelayMs: z.int().min(0).max(600_000).default(0).meta({
    description:
      "time after SIGTERM in which it says that it is not ready and still serves everybody, so that what sends it requests finds out ([runbook](runbook.md#upgrade))",
  }),
  drainMs: positive.default(10_000).meta({ description: "time for the last requests after SIGTERM" }),
};
