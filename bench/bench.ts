// `npm run bench [-- TARGET…]`: our work against a server that does nothing, in one run and from the same client.
// With `--calls N`, N more calls to each target afterwards, to see that its memory stays.
import { parseArgs } from "node:util";
import {
  drive,
  inTurns,
  measure,
  residentMiB,
  spread,
  type Load,
  type TargetProcess,
  type Samples,
} from "./harness.ts";
import { latencyText, openLoop } from "./open-loop.ts";
import type { Target } from "./target.ts";
import { chosen, peerOf } from "./targets.ts";
import { createWorld } from "./world.ts";

const { values, positionals } = parseArgs({
  options: {
    windows: { type: "string", default: "15" },
    "window-ms": { type: "string", default: "1000" },
    "in-flight": { type: "string", default: "64" },
    "warm-ms": { type: "string", default: "3000" },
    calls: { type: "string", default: "0" },
    rates: { type: "string", default: "" },
    peer: { type: "string", multiple: true, default: [] },
  },
  allowPositionals: true,
});
const windows = Number(values.windows);
const load: Load = { inFlight: Number(values["in-flight"]), windowMs: Number(values["window-ms"]) };
const calls = Number(values.calls);
const rates = values.rates.split(",").filter(Boolean).map(Number);

interface Entry {
  readonly target: Target;
  readonly running: TargetProcess;
  readonly samples: Samples;
}

async function run(): Promise<void> {
  const world = await createWorld();
  try {
    const entries: Entry[] = [];
    for (const target of chosen(positionals, values.peer.map(peerOf)))
      entries.push({ target, running: await target.start(world), samples: { perSecond: [], cpuMicros: [] } });
    console.log(`${load.inFlight} in flight, ${windows} windows of ${load.windowMs} ms each, taking turns`);
    for (const { running } of entries) await drive(running.call, load.inFlight, { ms: Number(values["warm-ms"]) });
    await inTurns(entries, windows, ({ running, samples }) => measure(running, load, samples));
    console.log(report(entries));
    for (const rate of rates) console.log(await latency(entries, rate));
    const isAsked = ({ target }: Entry) => positionals.length === 0 || positionals.includes(target.name);
    if (calls > 0) for (const entry of entries.filter(isAsked)) console.log(await memory(entry));
  } finally {
    await world.close();
  }
}

const LATENCY_WINDOWS = 3;

/** Three windows at this rate for each target, taking turns: `p50 / p99 / longest` of each, in milliseconds. */
async function latency(entries: readonly Entry[], rate: number): Promise<string> {
  const found = new Map<Entry, string[]>(entries.map((entry) => [entry, []]));
  await inTurns(entries, LATENCY_WINDOWS, async (entry) => {
    const window = await openLoop(entry.running.call, rate, 3 * load.windowMs);
    found.get(entry)?.push(latencyText(window));
  });
  const lines = [...found].map(([{ target }, windows]) => `  ${target.title.padEnd(36)} ${windows.join("   ")}`);
  return [`${rate} calls a second, p50 / p99 / longest in ms:`, ...lines].join("\n");
}

/** The table, and each row compared, window by window, with the one that it is measured against. */
function report(entries: readonly Entry[]): string {
  const line = (title: string, rate: string, [cpu, resident]: readonly [cpu: string, resident: string]) =>
    `${title.padEnd(36)} ${rate.padStart(22)} ${cpu.padStart(16)} ${resident.padStart(8)}`;
  const rows = entries.map(({ target, running, samples }) =>
    line(target.title, spread(samples.perSecond, 0), [
      spread(samples.cpuMicros, 0),
      String(residentMiB(running.child)),
    ]),
  );
  const ratios = entries.flatMap(({ target, samples }) => {
    const base = entries.find((entry) => entry.target.name === target.against);
    return base === undefined ? [] : [`${target.title} / ${base.target.title}: ${compared(samples, base.samples)}`];
  });
  return [line("", "per second (p10–p90)", ["CPU µs", "RSS MiB"]), ...rows, ...ratios].join("\n");
}

function compared(samples: Samples, base: Samples): string {
  const ratio = (key: keyof Samples) =>
    spread(
      samples[key].map((value, i) => value / (base[key][i] ?? 1)),
      2,
    );
  return `${ratio("perSecond")} of the throughput, ${ratio("cpuMicros")} of the CPU per call`;
}

/** Calls between two looks at the memory. */
const STEP = 10_000;

/** A fifth of the calls first: the compiler's threads are at work, and count. */
async function memory({ target, running: { child, call } }: Entry): Promise<string> {
  await drive(call, load.inFlight, { calls: calls / 5 });
  const resident = [residentMiB(child)];
  for (let left = calls; left > 0; left -= STEP) {
    await drive(call, load.inFlight, { calls: Math.min(left, STEP) });
    resident.push(residentMiB(child));
  }
  return `RSS of ${target.title} over ${calls} calls, in steps of ${STEP}: ${resident.join(" ")} MiB`;
}

try {
  await run();
  process.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
