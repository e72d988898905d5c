import { quantile, type Samples } from "./measure.ts";

export interface Row {
  readonly title: string;
  readonly samples: Samples;
  readonly residentMiB: number;
}

/** The table, and every row but the first compared with the first, window by window. */
export function report([base, ...others]: readonly [Row, ...Row[]]): string {
  const lines = [line("", "per second (p10–p90)", "CPU µs", "RSS MiB")];
  for (const { title, samples, residentMiB } of [base, ...others])
    lines.push(line(title, range(samples.perSecond), range(samples.cpuMicros), String(residentMiB)));
  for (const { title, samples } of others) lines.push(`${title} / ${base.title}: ${compared(samples, base.samples)}`);
  return lines.join("\n");
}

function line(title: string, rate: string, cpu: string, memory: string): string {
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
