import { cpuSeconds } from "./process.ts";
import type { Running } from "./target.ts";

/** What was measured of one target, one value per window. */
export interface Samples {
  readonly perSecond: number[];
  readonly cpuMicros: number[];
}

export interface Load {
  readonly inFlight: number;
  readonly windowMs: number;
}

/** Keeps `inFlight` calls open for `ms`; resolves with the number that were answered. */
export async function drive({ call }: Running, inFlight: number, ms: number): Promise<number> {
  const end = performance.now() + ms;
  let count = 0;
  const worker = async () => {
    while (performance.now() < end) {
      await call();
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return count;
}

/** One window. */
export async function measure(running: Running, load: Load, samples: Samples): Promise<void> {
  const cpu = cpuSeconds(running.child);
  const started = performance.now();
  const count = await drive(running, load.inFlight, load.windowMs);
  samples.perSecond.push(count / ((performance.now() - started) / 1000));
  samples.cpuMicros.push(((cpuSeconds(running.child) - cpu) / count) * 1e6);
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}
