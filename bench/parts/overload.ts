// Twice as much as `serve` can do, for some seconds, and calls of somebody else before, during and after it. I/O.
import { closedLoop, generate, openLoop, type Found } from "../load.ts";
import type { Cores } from "../machine.ts";
import { serve } from "../ours/serve.ts";
import { markdown } from "../table.ts";
import { createWorld } from "../world.ts";

export interface OverloadResult {
  readonly text: string;
  readonly capacity: number;
  readonly flood: Found;
  /** What another connection met, in slots of 250 ms. */
  readonly slots: readonly (Pick<Found, "p50" | "max" | "denied" | "answered"> & { readonly at: number })[];
}

const NO_MARKS = { start: () => {}, end: () => {} };
const SLOT_MS = 250;
const PROBES = 200;
/** Past which nobody waits for an answer: `grpc-timeout` of the generator. */
const DEADLINE_MS = 2000;

export async function measureOverload(cores: Cores, isQuick: boolean): Promise<OverloadResult> {
  const world = await createWorld(cores);
  const floodMs = isQuick ? 1000 : 5000;
  try {
    const service = await serve("serve", "mcp-authz serve", {}).start(world);
    const capacity = (await generate(service, closedLoop({ warmMs: isQuick ? 500 : 4000, ms: 1000 }), NO_MARKS))
      .perSecond;
    const slots: OverloadResult["slots"][number][] = [];
    const started = performance.now();
    const probing = (async () => {
      while (performance.now() - started < floodMs + 4000) {
        const at = Math.round(performance.now() - started);
        const { p50, max, denied, answered } = await generate(
          service,
          openLoop(PROBES, { warmMs: 0, ms: SLOT_MS, lingerMs: SLOT_MS }),
          NO_MARKS,
        );
        slots.push({ at, p50, max, denied, answered });
      }
    })();
    await generate(service, openLoop(PROBES, { warmMs: 0, ms: 1000 }), NO_MARKS);
    const flood = await generate(
      service,
      openLoop(2 * capacity, { warmMs: 0, ms: floodMs, lingerMs: DEADLINE_MS + 500 }),
      NO_MARKS,
    );
    await probing;
    return { text: textOf(capacity, flood, slots), capacity, flood, slots };
  } finally {
    await world.close();
  }
}

function textOf(capacity: number, flood: Found, slots: OverloadResult["slots"]): string {
  const rows = [
    ["capacity, one core", `${capacity.toFixed(0)}/s`],
    ["asked for", `${(2 * capacity).toFixed(0)}/s`],
    ["allowed in the window", `${flood.answered}, p50 ${flood.p50.toFixed(0)} ms, longest ${flood.max.toFixed(0)} ms`],
    [
      "refused in the window",
      `${flood.denied}, p50 ${flood.deniedP50.toFixed(0)} ms, longest ${flood.deniedMax.toFixed(0)} ms`,
    ],
    ["without an answer 2.5 s after it", String(flood.open)],
    ["connections closed", String(flood.closed)],
  ];
  const timeline = slots.map(({ at, p50, max, denied }) => [
    String(at),
    p50.toFixed(1),
    max.toFixed(1),
    String(denied),
  ]);
  return `${markdown(["", ""], rows)}\n\n${markdown(["ms", "others' p50 ms", "longest", "refused"], timeline)}`;
}
