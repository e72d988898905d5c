// `npm run fuzz [--cases N] [--seed S] [--readers a,b] [--only kind,kind]`: the differential run against the readers of
// other runtimes (docs/fuzzing.md). Exits with 1 for any difference.
import { parseArgs } from "node:util";
import { KINDS, type Kind } from "./cases.ts";
import { addToCorpus, casesOf, readCorpus } from "./corpus.ts";
import { differencesOf, runDifferential, type RecordedDifference, type Outcome } from "./differential.ts";
import { installReaders } from "./install.ts";
import { minimise } from "./minimise.ts";
import { WIRE_URI } from "./reader-child.ts";
import { findReaders, READERS } from "./readers.ts";
import { tableText } from "./table.ts";

const PROGRESS_MS = 5000;

function fail(text: string): never {
  console.error(text);
  process.exit(2);
}

function listOf<T extends string>(text: string | undefined, known: readonly T[], what: string): readonly T[] {
  if (text === undefined) return known;
  const names = text.split(",");
  const wrong = names.find((name) => !known.includes(name as T));
  return wrong === undefined ? (names as T[]) : fail(`"${wrong}" is no ${what}; known: ${known.join(", ")}`);
}

function wholeNumber(text: string, what: string): number {
  const number = Number(text);
  return Number.isSafeInteger(number) && number >= 0 ? number : fail(`${what} must be a whole number`);
}

function progress(started: number): (outcome: Outcome) => void {
  let said = started;
  return (outcome) => {
    const now = Date.now();
    if (now - said < PROGRESS_MS) return;
    said = now;
    const seconds = Math.round((now - started) / 1000);
    console.log(
      `${seconds} s: ${outcome.cases} cases, ${outcome.refusedByUs} refused by us, ${differencesOf(outcome)} differences`,
    );
  };
}

async function report(found: ReadonlyMap<string, RecordedDifference>): Promise<void> {
  for (const [key, one] of found) {
    const readers = [...one.counts].map(([reader, count]) => `${reader} ${count} times`).join(", ");
    console.log(`\n${key} (${readers})`);
    const minimal = await minimise(one);
    if (minimal === null) {
      console.log(
        `  does not come again in a new process; the last text: ${one.history.at(-1)?.bytes.toString("utf8")}`,
      );
      continue;
    }
    const { texts, difference } = minimal;
    const of = one.history.at(-1)?.wire === WIRE_URI ? "uri" : "body";
    const file = addToCorpus({ of, note: `${key} (${[...one.counts.keys()].join(", ")})`, texts });
    for (const text of texts) console.log(`  text:   ${JSON.stringify(text)}`);
    console.log(`  policy: ${JSON.stringify(difference.policy)}`);
    console.log(`  reader: ${JSON.stringify(difference.read)}`);
    console.log(`  kept as test/corpus/differential/${file}`);
  }
}

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "2000000" },
    seed: { type: "string" },
    readers: { type: "string" },
    only: { type: "string" },
  },
});
const names = listOf(values.readers, Object.keys(READERS), "reader");
const kinds = listOf<Kind>(values.only, KINDS, "kind");
const cases = wholeNumber(values.cases, "--cases");
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : wholeNumber(values.seed, "--seed");

installReaders(names);
const { found: readers, missing } = findReaders(names);
if (readers.length === 0) fail("no reader is here");
console.log(`seed ${seed}, ${cases} cases, readers: ${readers.map(({ name }) => name).join(", ")}`);
for (const name of missing) console.log(`skipped, not here: ${name}`);
const started = Date.now();
const first = [...readCorpus().values()].flatMap(casesOf);
const outcome = await runDifferential({ readers, seed, cases, kinds, first, onProgress: progress(started) });
console.log(`\n${tableText(outcome)}`);
for (const name of missing) console.log(`${name}: SKIPPED, not here`);
await report(outcome.found);
const differences = differencesOf(outcome);
console.log(
  `\n${outcome.cases} cases after ${Math.round((Date.now() - started) / 1000)} s (${outcome.refusedByUs} more refused by us), ` +
    `${differences} differences. To repeat: npm run fuzz -- --seed ${seed} --cases ${cases}`,
);
process.exitCode = differences === 0 ? 0 : 1;
