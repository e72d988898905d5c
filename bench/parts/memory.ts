// Memory of `serve` when it is idle, after 100,000 Checks and after a million. I/O.
import { closedLoop, generate } from "../load.ts";
import { residentMiB, type Cores } from "../machine.ts";
import { serve } from "../ours/serve.ts";
import type { Service } from "../service.ts";
import { createWorld } from "../world.ts";

export interface MemoryResult {
  readonly text: string;
  readonly points: readonly { readonly checks: number; readonly residentMiB: number }[];
}

const STEPS = [100_000, 200_000, 400_000, 600_000, 800_000, 1_000_000];

export async function measureMemory(cores: Cores, isQuick: boolean): Promise<MemoryResult> {
  const world = await createWorld(cores);
  try {
    const service = await serve("serve", "mcp-authz serve", {}).start(world);
    const points = [{ checks: 0, residentMiB: residentMiB(service.pid) }];
    let checks = 0;
    for (const step of isQuick ? [1000] : STEPS) {
      while (checks < step) checks += await some(service, isQuick ? 200 : 2000);
      points.push({ checks: step, residentMiB: residentMiB(service.pid) });
    }
    const rows = points.map((point) => `| ${point.checks} | ${point.residentMiB} |`);
    return { text: ["| Checks | MiB |", "| ---: | ---: |", ...rows].join("\n"), points };
  } finally {
    await world.close();
  }
}

async function some(service: Service, ms: number): Promise<number> {
  const found = await generate(service, closedLoop({ warmMs: 0, ms }), { start: () => {}, end: () => {} });
  const { answered, denied, faults } = found;
  if (denied + faults > 0) throw new Error(`memory: ${denied} refused, ${faults} without an answer`);
  return answered;
}
