// The floor that needs no peer: Node's usual gRPC stack, which decodes the same Checks and answers always the same.
import { goodChecks } from "../requests.ts";
import type { Variant } from "../service.ts";
import { openerOf } from "./serve.ts";

export const noop: Variant = {
  name: "noop",
  title: "no-op, grpc-js + proto-loader",
  async start(world) {
    const { child, line } = await world.processes.serveLine([
      process.execPath,
      "--disable-warning=ExperimentalWarning",
      "bench/noop-server.ts",
    ]);
    return {
      pid: child.pid ?? 0,
      end: () => world.processes.end(child),
      good: goodChecks(world),
      bad: {}, // it decides nothing
      open: openerOf(`127.0.0.1:${line}`),
    };
  },
};
