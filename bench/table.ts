// The tables of a result, as Markdown, and what a reader must be warned of. Pure.
import type { RowResult, VariantResult } from "./run.ts";
import { quantile, ratios, spreadText } from "./statistics.ts";
import { MAX_FOREIGN, type Window } from "./window.ts";

const median = (values: readonly number[]) => quantile(values, 0.5);
const cell = (values: readonly number[], digits: number) => spreadText(values, digits);

export function table(result: Pick<RowResult, "loads" | "variants">): string {
  const [load = ""] = result.loads;
  const isClosed = load === "saturated";
  return isClosed ? closedTable(result, load) : openTable(result);
}

function closedTable({ variants }: Pick<RowResult, "variants">, load: string): string {
  const [base] = variants;
  const perSecond = (variant: VariantResult | undefined) =>
    (variant?.windows[load] ?? []).map((window) => window.perSecond);
  const cpu = (variant: VariantResult | undefined) => (variant?.windows[load] ?? []).map((window) => window.cpuMicros);
  const rows = variants.map((variant) => {
    const windows = variant.windows[load] ?? [];
    return [
      variant.title,
      cell(perSecond(variant), 0),
      `**${cell(ratios(perSecond(variant), perSecond(base)), 2)}**`,
      cell(cpu(variant), 0),
      cell(ratios(cpu(base), cpu(variant)), 2),
      `${median(windows.map(({ p50 }) => p50)).toFixed(1)} / ${median(windows.map(({ p99 }) => p99)).toFixed(1)}`,
      `${median(variant.idle)} / ${median(variant.loaded)}`,
    ];
  });
  const head = [
    "",
    "a second [quartiles]",
    `× ${base?.title ?? ""}`,
    "CPU µs",
    "CPU ratio",
    "p50 / p99 ms",
    "MiB idle / after",
  ];
  return markdown(head, rows);
}

function openTable({ loads, variants }: Pick<RowResult, "loads" | "variants">): string {
  const text = (windows: readonly Window[]) => {
    const of = (value: (window: Window) => number, digits: number) => median(windows.map(value)).toFixed(digits);
    const answered = of(({ perSecond }) => perSecond, 0);
    return `${of(({ p50 }) => p50, 2)} / ${cell(
      windows.map(({ p99 }) => p99),
      1,
    )} / ${of(({ max }) => max, 0)} (${answered}/s)`;
  };
  const rows = variants.map((variant) => [variant.title, ...loads.map((load) => text(variant.windows[load] ?? []))]);
  return markdown(["p50 / p99 [quartiles] / longest, ms (answered)", ...loads], rows);
}

export function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** The generator works for less than this share of its core, or it may be the limit. */
const MAX_CLIENT = 0.9;
const MIN_SERVER = 0.8;
const MAX_LATE_MS = 20;

/** What stood in the way of a clean measurement. */
export function warnings({ loads, variants, seconds }: RowResult): readonly string[] {
  const found: string[] = [];
  for (const { title, windows } of variants)
    for (const load of loads) found.push(...doubts(`${title}, ${load}`, windows[load] ?? [], load === "saturated"));
  const all = variants.flatMap(({ windows }) => Object.values(windows).flat());
  const foreign = all.map((window) => window.foreign);
  const repeated = all.filter(({ repeats }) => repeats > 0).length;
  return [
    "",
    `foreign CPU: median ${median(foreign).toFixed(2)}, highest tenth ${quantile(foreign, 0.9).toFixed(2)} of a core; ${repeated} of ${all.length} windows repeated; ${seconds} s`,
    ...found,
  ];
}

function doubts(what: string, windows: readonly Window[], isClosed: boolean): readonly string[] {
  const share = (holds: (window: Window) => boolean) => windows.filter(holds).length;
  const told = (count: number, text: string) =>
    count === 0 ? [] : [`! ${what}: ${text} in ${count} of ${windows.length} windows`];
  return [
    ...told(
      share(({ foreign }) => foreign > MAX_FOREIGN),
      "foreign load was above 15 % of a core, even when repeated,",
    ),
    ...told(
      share(({ client, server }) => isClosed && client > MAX_CLIENT && server < MIN_SERVER),
      "the generator was the limit",
    ),
    ...told(
      share(({ late }) => !isClosed && late > MAX_LATE_MS),
      "the generator itself was late by more than 20 ms",
    ),
    ...told(
      share(({ denied }) => denied > 0),
      "some requests were refused",
    ),
    ...told(
      share(({ faults }) => faults > 0),
      "some requests got no answer",
    ),
    ...told(
      share(({ closed }) => closed > 0),
      "the service closed the connection",
    ),
  ];
}
