// One thing that grows: CPU and time of a Check at each size. I/O.
import { requireAlike } from "../alike.ts";
import type { Axis } from "../growth-axes.ts";
import { closedLoop, generate } from "../load.ts";
import { residentMiB, type Cores } from "../machine.ts";
import { quantile, spreadOf, type Spread } from "../statistics.ts";
import { measure } from "../window.ts";
import { createWorld } from "../world.ts";

export interface Point {
  readonly size: number;
  readonly cpuMicros: Spread;
  readonly p50: number;
  readonly residentMiB: number;
}

export interface AxisResult {
  readonly text: string;
  readonly title: string;
  readonly points: readonly Point[];
}

const WINDOWS = 5;
/** Requests after which the engine has compiled what is called often. */
const WARM = 10_000;
const MAX_WARM_MS = 120_000;

export async function measureAxis(axis: Axis, cores: Cores, isQuick: boolean): Promise<AxisResult> {
  const points: Point[] = [];
  for (const size of isQuick ? axis.sizes.slice(0, 1) : axis.sizes)
    points.push(await measureSize(axis, size, { cores, isQuick }));
  const lines = points.map(({ size, cpuMicros, p50, residentMiB: mib }) => {
    const { low, middle, high } = cpuMicros;
    return `| ${size} | ${middle.toFixed(0)} [${low.toFixed(0)}–${high.toFixed(0)}] | ${p50.toFixed(1)} | ${mib} |`;
  });
  const text = [
    `| ${axis.title} | CPU µs [quartiles] | p50 ms, 16 in flight | MiB |`,
    "| ---: | ---: | ---: | ---: |",
    ...lines,
  ].join("\n");
  return { text, title: axis.title, points };
}

async function measureSize(
  axis: Axis,
  size: number,
  { cores, isQuick }: { readonly cores: Cores; readonly isQuick: boolean },
): Promise<Point> {
  const world = await createWorld(cores);
  try {
    const variant = axis.variant(size);
    const service = await variant.start(world);
    await requireAlike(variant, service);
    const load = closedLoop({ connections: 4, inFlight: 16, ms: isQuick ? 100 : 500 });
    const warm = isQuick ? 100 : Math.max(WARM, axis.warm?.(size) ?? 0);
    const end = performance.now() + (axis.warm === undefined ? 5000 : MAX_WARM_MS);
    for (let asked = 0; asked < warm && performance.now() < end;)
      asked += (await generate(service, { ...load, warmMs: 0, ms: 1000 }, { start: () => {}, end: () => {} })).answered;
    const cpu: number[] = [];
    const times: number[] = [];
    for (let i = 0; i < (isQuick ? 1 : WINDOWS); i += 1) {
      const window = await measure(service, load, { cores, repeats: isQuick ? 0 : 2 });
      if (window.denied + window.faults > 0)
        throw new Error(`${axis.name} ${size}: ${window.denied} refused, ${window.faults} without an answer`);
      cpu.push(window.cpuMicros);
      times.push(window.p50);
    }
    return { size, cpuMicros: spreadOf(cpu), p50: quantile(times, 0.5), residentMiB: residentMiB(service.pid) };
  } finally {
    await world.close();
  }
}
