// Keys at the top of the configuration that say how a request travels, is refused and waits. Pure.
import { z } from "zod";
import { positive } from "./values.ts";

export const requestKeys = {
  callRouting: z.enum(["broker", "direct"]).default("broker").meta({
    description:
      "how calls travel: `broker` relays them ([broker.md](broker.md)), `direct` sends them from Envoy straight to the server; per server the same key",
  }),
  denial: z.enum(["jsonrpc", "http"]).default("jsonrpc").meta({
    description: "how a call that policy denies looks: `jsonrpc` is 200 with a JSON-RPC error, `http` is 403",
  }),
  checkTimeoutMs: positive.default(800).meta({ description: "time for one decision; later is refused" }),
  drainMs: positive.default(10_000).meta({ description: "time for the last requests after SIGTERM" }),
};
