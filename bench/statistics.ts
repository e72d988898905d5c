// Medians, quartiles and percentiles. Pure.

/** The value below which this share lies; NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** Median and quartiles. */
export interface Spread {
  readonly low: number;
  readonly middle: number;
  readonly high: number;
}

export function spreadOf(values: readonly number[]): Spread {
  return { low: quantile(values, 0.25), middle: quantile(values, 0.5), high: quantile(values, 0.75) };
}

/** `2.04 [1.61–2.62]` */
export function spreadText(values: readonly number[], digits: number): string {
  const { low, middle, high } = spreadOf(values);
  return `${middle.toFixed(digits)} [${low.toFixed(digits)}–${high.toFixed(digits)}]`;
}

/** Each value by the one of the base in the same place: windows of one round are compared with each other alone. */
export function ratios(values: readonly number[], base: readonly number[]): readonly number[] {
  return values.map((value, i) => value / (base[i] ?? Number.NaN));
}
