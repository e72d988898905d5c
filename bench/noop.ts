import { toolCall } from "./decision.ts";
import { checkCall } from "./grpc-call.ts";
import { firstLine } from "./process.ts";
import type { Target } from "./target.ts";

/** What Node's usual gRPC stack costs at least, for the same bytes. */
export const noopTarget: Target = {
  name: "noop",
  title: "no-op, grpc-js + proto-loader",
  against: null,
  async start(world) {
    const child = world.spawn(["bench/noop-server.ts"]);
    const port = await firstLine(child);
    return { child, call: checkCall(`127.0.0.1:${port}`, toolCall(world.token)) };
  },
};
