// Measures a row: each program is started anew several times; between two starts, windows take turns, every other round backwards,
// so that whatever else the machine does meets all alike. I/O.
import { requireAlike } from "./alike.ts";
import { generate, type Load } from "./load.ts";
import { residentMiB, type Cores } from "./machine.ts";
import type { Peers } from "./peers.ts";
import type { Row } from "./rows.ts";
import type { Service, Variant } from "./service.ts";
import { measure, type Window } from "./window.ts";
import { createWorld } from "./world.ts";

export interface Plan {
  readonly restarts: number;
  readonly rounds: number;
  /** Of a closed loop; open ones say it themselves. */
  readonly windowMs: number;
  readonly warmMs: number;
  /** Attempts at most for a window in which others used the cores. */
  readonly repeats: number;
}

export interface Setting {
  readonly peers: Peers;
  readonly cores: Cores;
  readonly plan: Plan;
}

export interface VariantResult {
  readonly name: string;
  readonly title: string;
  /** By load. Windows in the same place of two variants are of one round. */
  readonly windows: Record<string, Window[]>;
  /** MiB after the start, and after all windows. */
  readonly idle: number[];
  readonly loaded: number[];
}

export interface RowResult {
  readonly name: string;
  readonly title: string;
  readonly loads: readonly string[];
  readonly variants: readonly VariantResult[];
  readonly plan: Plan;
  readonly seconds: number;
}

export async function runRow(row: Row, setting: Setting): Promise<RowResult> {
  const started = performance.now();
  const variants = row.variants(setting.peers);
  const loads = Object.keys(row.loads);
  const results = variants.map(({ name, title }): VariantResult => ({
    ...{ name, title, idle: [], loaded: [] },
    windows: Object.fromEntries(loads.map((load) => [load, []])),
  }));
  for (let i = 0; i < setting.plan.restarts; i += 1) await oneStart(row, setting, pairs(variants, results));
  const seconds = Math.round((performance.now() - started) / 1000);
  return { name: row.name, title: row.title, loads, variants: results, plan: setting.plan, seconds };
}

interface Entry {
  readonly variant: Variant;
  readonly result: VariantResult;
}

type Running = Entry & { readonly service: Service };

const pairs = (variants: readonly Variant[], results: readonly VariantResult[]): readonly Entry[] =>
  variants.flatMap((variant, i) => {
    const result = results[i];
    return result === undefined ? [] : [{ variant, result }];
  });

async function oneStart(row: Row, { cores, plan }: Setting, entries: readonly Entry[]): Promise<void> {
  const world = await createWorld(cores);
  try {
    const running: Running[] = [];
    for (const entry of entries) {
      const service = await entry.variant.start(world);
      await requireAlike(entry.variant, service);
      entry.result.idle.push(residentMiB(service.pid));
      running.push({ ...entry, service });
    }
    const [first] = Object.values(row.loads);
    for (const { service } of running) if (first !== undefined) await warm(service, first, plan.warmMs);
    for (const [name, load] of Object.entries(row.loads)) await takeTurns(running, [name, load], { cores, plan });
    for (const { service, result } of running) result.loaded.push(residentMiB(service.pid));
  } finally {
    await world.close();
  }
}

async function takeTurns(
  running: readonly Running[],
  [name, load]: readonly [string, Load],
  { cores, plan }: Pick<Setting, "cores" | "plan">,
): Promise<void> {
  const isClosed = load.rate === 0;
  const timed = isClosed ? { ...load, ms: plan.windowMs } : shortened(load, plan);
  const rounds = isClosed ? plan.rounds : Math.ceil(plan.rounds / 2);
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? running : running.toReversed();
    for (const { service, result } of order)
      result.windows[name]?.push(await measure(service, timed, { cores, repeats: plan.repeats }));
  }
}

/** Open loops keep their length, but for a run that only sees whether all works. */
const shortened = (load: Load, { windowMs }: Plan): Load => ({ ...load, ms: Math.min(load.ms, 6 * windowMs) });

/** As many at once as in the closed loop: what is called often is compiled. */
async function warm(service: Service, load: Load, ms: number): Promise<void> {
  const warming = { ...load, rate: 0, resets: 0, inFlight: load.inFlight || 64, warmMs: ms, ms: 50 };
  await generate(service, warming, { start: () => {}, end: () => {} });
}
