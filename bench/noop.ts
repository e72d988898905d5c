// The floor of every comparison: Node's usual gRPC stack, for the same bytes.
import { toolCall } from "./decision.ts";
import { checkCall } from "./grpc-call.ts";
import type { Target } from "./target.ts";
import { firstLine } from "./world.ts";

export const noopTarget: Target = {
  name: "noop",
  title: "no-op, grpc-js + proto-loader",
  against: null,
  async start(world) {
    const child = world.spawn(["bench/noop-server.ts"]);
    const port = await firstLine(child);
    return { child, call: await checkCall(`127.0.0.1:${port}`, toolCall(world.token)) };
  },
};
