// `npm run bench [-- TARGET…]`: our work against a server that does nothing, in one run. All get their load from the same
// client, in short windows that take turns, so that whatever else the machine does meets all. Ratios hold; figures do not.
import { parseArgs } from "node:util";
import { drive, measure, type Load, type Samples } from "./measure.ts";
import { residentMiB } from "./process.ts";
import { report, type Row } from "./report.ts";
import type { Running, Target } from "./target.ts";
import { chosen } from "./targets.ts";
import { createWorld } from "./world.ts";

const { values, positionals } = parseArgs({
  options: {
    windows: { type: "string", default: "15" },
    "window-ms": { type: "string", default: "1000" },
    "in-flight": { type: "string", default: "64" },
    "warm-ms": { type: "string", default: "3000" },
  },
  allowPositionals: true,
});
const windows = Number(values.windows);
const load: Load = { inFlight: Number(values["in-flight"]), windowMs: Number(values["window-ms"]) };

interface Entry {
  readonly target: Target;
  readonly running: Running;
  readonly samples: Samples;
}

async function run(): Promise<void> {
  const world = await createWorld();
  try {
    const entries: Entry[] = [];
    for (const target of chosen(positionals)) {
      const running = await target.start(world);
      entries.push({ target, running, samples: { perSecond: [], cpuMicros: [] } });
    }
    console.log(`${load.inFlight} in flight, ${windows} windows of ${load.windowMs} ms each, taking turns`);
    for (const { running } of entries) await drive(running, load.inFlight, Number(values["warm-ms"]));
    for (let i = 0; i < windows; i += 1)
      for (const { running, samples } of i % 2 === 0 ? entries : entries.toReversed())
        await measure(running, load, samples);
    const rows = entries.map(({ target, running: { child }, samples }): Row => ({
      target,
      samples,
      residentMiB: residentMiB(child),
    }));
    console.log(report(rows));
  } finally {
    await world.close();
  }
}

try {
  await run();
  process.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
