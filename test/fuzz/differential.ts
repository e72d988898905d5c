// The differential run: what we accept goes to each reader, and what each sees is compared with what policy sees.
import { createCases, KINDS, type Case, type Kind } from "./cases.ts";
import { areNeighbours, differenceOf, viewsFor, type Difference } from "./compare.ts";
import { ReaderChild, type ReaderSpec } from "./reader-child.ts";

export interface Count {
  cases: number;
  /** By us and by the reader. */
  accepted: number;
  /** By the reader alone: no second reading, and no difference. */
  refused: number;
  differences: number;
  /** Fractions that the reader takes for the double beside the nearest, as it always does: told, and no difference. */
  neighbours: number;
}

/** The first difference of a kind, with the cases that its reader had before. */
export interface RecordedDifference {
  readonly difference: Difference;
  readonly spec: ReaderSpec;
  /** In order; the last one is the case that differs. */
  readonly history: readonly Case[];
  /** Of this kind, by reader. */
  readonly counts: Map<string, number>;
}

export interface Outcome {
  /** By reader, view and kind of case: `go struct\tjson`. */
  readonly table: Map<string, Count>;
  readonly found: Map<string, RecordedDifference>;
  cases: number;
  /** Texts that were made and that we refuse. */
  refusedByUs: number;
}

export interface RunOptions {
  readonly readers: readonly ReaderSpec[];
  readonly seed: number;
  /** How many texts that we accept. */
  readonly cases: number;
  readonly kinds?: readonly Kind[];
  /** Come before all that is generated. */
  readonly first?: readonly Case[];
  readonly onProgress?: (outcome: Outcome) => void;
}

const BATCH = 1000;
/** So many cases back a reader's memory is searched for what made it see something else. */
const HISTORY = 3000;

export async function runDifferential(options: RunOptions): Promise<Outcome> {
  const outcome: Outcome = { table: new Map(), found: new Map(), cases: 0, refusedByUs: 0 };
  const source = createCases(options.seed, options.kinds ?? KINDS);
  const children = options.readers.map((spec) => new ReaderChild(spec));
  const history: Case[] = [];
  const make = () => {
    const batch: Case[] = outcome.cases === 0 && history.length === 0 ? [...(options.first ?? [])] : [];
    while (batch.length < BATCH) batch.push(...source.next());
    return batch;
  };
  try {
    let batch = make();
    while (outcome.cases < options.cases) {
      const current = batch;
      const reading = Promise.all(children.map((child) => child.read(current)));
      history.push(...current);
      batch = make();
      const answers = await reading;
      for (const [i, child] of children.entries())
        note(outcome, { child, batch: current, answers: answers[i] ?? [], history });
      outcome.cases += current.length;
      outcome.refusedByUs = source.refused;
      history.splice(0, Math.max(0, history.length - HISTORY));
      options.onProgress?.(outcome);
    }
  } finally {
    await Promise.all(children.map((child) => child.stop()));
  }
  return outcome;
}

interface Answered {
  readonly child: ReaderChild;
  readonly batch: readonly Case[];
  readonly answers: readonly (string | null)[][];
  /** Ends with the batch. */
  readonly history: readonly Case[];
}

function note(outcome: Outcome, { child: { spec }, batch, answers, history }: Answered): void {
  const before = history.length - batch.length;
  for (const [i, found] of batch.entries()) {
    for (const [j, view] of viewsFor(spec, found).entries()) {
      const form = answers[i]?.[j] ?? null;
      const count = countOf(outcome.table, `${spec.name} ${view.name}\t${found.kind}`);
      count.cases += 1;
      if (form === null) {
        count.refused += 1;
        continue;
      }
      count.accepted += 1;
      const difference = differenceOf(spec, found, { view, form });
      if (difference === null) continue;
      if (spec.roundsTwice === true && areNeighbours(difference)) {
        count.neighbours += 1;
        continue;
      }
      count.differences += 1;
      keep(outcome.found, difference, () => ({
        difference,
        spec,
        history: history.slice(0, before + i + 1),
        counts: new Map(),
      }));
    }
  }
}

function countOf(table: Map<string, Count>, key: string): Count {
  const known = table.get(key);
  if (known !== undefined) return known;
  const count = { cases: 0, accepted: 0, refused: 0, differences: 0, neighbours: 0 };
  table.set(key, count);
  return count;
}

function keep(
  found: Map<string, RecordedDifference>,
  { reader, view, what }: Difference,
  make: () => RecordedDifference,
): void {
  const key = `${view}: ${what}`;
  const known = found.get(key) ?? make();
  found.set(key, known);
  known.counts.set(reader, (known.counts.get(reader) ?? 0) + 1);
}

export function differencesOf({ table }: Outcome): number {
  return [...table.values()].reduce((sum, count) => sum + count.differences, 0);
}
