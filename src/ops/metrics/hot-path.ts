// Counters and histograms for the decision path: plain numbers that prom-client reads at a scrape. No I/O.
import { Counter, type Registry } from "prom-client";

/** One child of a counter, as a plain number. */
export interface Cell {
  count: number;
}

export interface MetricNames {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

/**
 * A counter whose children are plain numbers; the registry gets their values at a scrape. prom-client would hash the labels
 * at each increment.
 */
export function createHotCounter(registry: Registry, names: MetricNames): (...labels: readonly string[]) => Cell {
  const children: { readonly labels: readonly string[]; readonly cell: Cell }[] = [];
  const counter = new Counter({
    name: names.name,
    help: names.help,
    labelNames: [...names.labelNames],
    registers: [registry],
    collect: () => {
      counter.reset();
      for (const { labels, cell } of children) counter.labels(...labels).inc(cell.count);
    },
  });
  return (...labels) => {
    const cell = { count: 0 };
    children.push({ labels, cell });
    return cell;
  };
}

/** One child of a histogram. */
export interface Series {
  observe(seconds: number): void;
}

interface Child {
  readonly labels: Readonly<Record<string, string>>;
  /** Observations per bucket, not cumulative; the last bucket is +Inf. */
  readonly counts: number[];
  sum: number;
}

/** A histogram of the same kind. @param bounds ascending upper bounds, in seconds */
export function createHotHistogram(
  registry: Registry,
  names: MetricNames,
  bounds: readonly number[],
): (...labels: readonly string[]) => Series {
  const children: Child[] = [];
  const { name, help } = names;
  const get = () =>
    Promise.resolve({ name, help, type: "histogram", aggregator: "sum", values: children.flatMap(valuesOf) });
  const valuesOf = ({ labels, counts, sum }: Child) => {
    let total = 0;
    const buckets = [...bounds, "+Inf"].map((le, i) => {
      total += counts[i] ?? 0;
      return { metricName: `${name}_bucket`, labels: { le: String(le), ...labels }, value: total };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: total },
    ];
  };
  // The registry asks a metric for `name` and `get` only; its type names the four classes of the library.
  registry.registerMetric({ name, get } as unknown as Counter);
  return (...labels) => {
    const child: Child = {
      labels: Object.fromEntries(names.labelNames.map((label, i) => [label, labels[i] ?? ""])),
      counts: Array.from({ length: bounds.length + 1 }, () => 0),
      sum: 0,
    };
    children.push(child);
    return { observe: (seconds) => observe(child, bounds, seconds) };
  };
}

function observe(child: Child, bounds: readonly number[], seconds: number): void {
  let i = 0;
  while (i < bounds.length && seconds > (bounds[i] ?? 0)) i += 1;
  child.counts[i] = (child.counts[i] ?? 0) + 1;
  child.sum += seconds;
}
