import { quantile, type Samples } from "./measure.ts";
import type { Target } from "./target.ts";

export interface Row {
  readonly target: Target;
  readonly samples: Samples;
  readonly residentMiB: number;
}

/** The table, and each row compared, window by window, with the one that it is measured against. */
export function report(rows: readonly Row[]): string {
  const lines = [line("", ["per second (p10–p90)", "CPU µs", "RSS MiB"])];
  for (const { target, samples, residentMiB } of rows)
    lines.push(line(target.title, [range(samples.perSecond), range(samples.cpuMicros), String(residentMiB)]));
  for (const { target, samples } of rows) {
    const base = rows.find((row) => row.target.name === target.against);
    if (base !== undefined) lines.push(`${target.title} / ${base.target.title}: ${compared(samples, base.samples)}`);
  }
  return lines.join("\n");
}

function line(title: string, [rate, cpu, memory]: readonly [rate: string, cpu: string, memory: string]): string {
  return `${title.padEnd(32)} ${rate.padStart(22)} ${cpu.padStart(16)} ${memory.padStart(8)}`;
}

function range(values: readonly number[]): string {
  return `${quantile(values, 0.5).toFixed(0)} (${quantile(values, 0.1).toFixed(0)}–${quantile(values, 0.9).toFixed(0)})`;
}

function compared(samples: Samples, base: Samples): string {
  const ratios = (values: readonly number[], of: readonly number[]) => values.map((value, i) => value / (of[i] ?? 1));
  const rate = ratios(samples.perSecond, base.perSecond);
  const cpu = ratios(samples.cpuMicros, base.cpuMicros);
  const spread = (values: readonly number[]) =>
    `${quantile(values, 0.5).toFixed(2)} (${quantile(values, 0.1).toFixed(2)}–${quantile(values, 0.9).toFixed(2)})`;
  return `${spread(rate)} of the throughput, ${spread(cpu)} of the CPU per call`;
}
