// Measures in short windows that take turns, so that whatever else the machine does meets everything that is measured.
// Ratios of one run hold; figures do not. Reads /proc: Linux only.
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";

const CLOCK_TICKS_PER_SECOND = 100; // sysconf(_SC_CLK_TCK)

/** Does the work once. Rejects when the answer is not the one that is to be measured. */
export type Call = () => Promise<void>;

export interface TargetProcess {
  /** Whose CPU and memory count. */
  readonly child: ChildProcess;
  readonly call: Call;
}

/** One value per window. */
export interface Samples {
  readonly perSecond: number[];
  readonly cpuMicros: number[];
}

export interface Load {
  readonly inFlight: number;
  readonly windowMs: number;
}

/** Measures each entry once per window; every other window runs backwards, so that a drift meets all alike. */
export async function inTurns<T>(
  entries: readonly T[],
  windows: number,
  measure: (entry: T) => Promise<void>,
): Promise<void> {
  for (let i = 0; i < windows; i += 1)
    for (const entry of i % 2 === 0 ? entries : entries.toReversed()) await measure(entry);
}

/** Keeps `inFlight` calls open until the time or the count is over; resolves with the number that were answered. */
export async function drive(call: Call, inFlight: number, until: { ms?: number; calls?: number }): Promise<number> {
  const end = performance.now() + (until.ms ?? Infinity);
  let count = 0;
  const worker = async () => {
    while (performance.now() < end && count < (until.calls ?? Infinity)) {
      count += 1;
      await call();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return count;
}

/** One window. */
export async function measure({ child, call }: TargetProcess, load: Load, samples: Samples): Promise<void> {
  const cpu = cpuSeconds(child);
  const started = performance.now();
  const count = await drive(call, load.inFlight, { ms: load.windowMs });
  samples.perSecond.push(count / ((performance.now() - started) / 1000));
  samples.cpuMicros.push(((cpuSeconds(child) - cpu) / count) * 1e6);
}

/** Seconds of CPU so far, all threads. */
function cpuSeconds({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

export function residentMiB({ pid }: ChildProcess): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}

/** `median (p10–p90)` */
export function spread(values: readonly number[], digits: number): string {
  const [low, middle, high] = [0.1, 0.5, 0.9].map((share) => quantile(values, share).toFixed(digits));
  return `${middle} (${low}–${high})`;
}
