// `npm run fuzz:stacks [--cases N] [--seed S]`: the kept inputs of the fuzz targets and generated Checks, sent to both wire
// stacks (decision record 011). Exits with 1 for any difference.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createRandom } from "../random.ts";
import { openPair } from "./compare-stacks.ts";
import { fixedInputs } from "./fixed-inputs.ts";
import { checkBytes } from "./generate-check.ts";

const LANES = 8;
const SHOWN = 20;
const PROGRESS_EVERY = 10_000;

const { values } = parseArgs({
  options: { cases: { type: "string", default: "100000" }, seed: { type: "string" } },
});
const cases = Number(values.cases);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
if (!Number.isSafeInteger(cases) || !Number.isSafeInteger(seed)) throw new Error("--cases and --seed: whole numbers");

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-stacks-"));
const random = createRandom(seed);
const fixed = fixedInputs();
const endings = new Map<string, number>();
let begun = 0;
let differences = 0;

async function lane(name: string): Promise<void> {
  const pair = await openPair(folder, name);
  while (begun < cases + fixed.length) {
    const bytes = fixed[begun] ?? checkBytes(random);
    begun += 1;
    const { difference, ended } = await pair.compare(bytes);
    endings.set(ended, (endings.get(ended) ?? 0) + 1);
    if (begun % PROGRESS_EVERY === 0) console.log(`${begun} Checks, ${differences} differences`);
    if (difference === null) continue;
    differences += 1;
    if (differences <= SHOWN) console.log(`${bytes.toString("base64")}\n${difference}\n`);
  }
  await pair.close();
}

console.log(`seed ${seed}, ${fixed.length} fixed inputs and ${cases} generated Checks`);
const started = Date.now();
await Promise.all(Array.from({ length: LANES }, (_, i) => lane(String(i))));
rmSync(folder, { recursive: true, force: true });
for (const [ended, count] of [...endings].toSorted(([, one], [, other]) => other - one))
  console.log(`${ended}: ${count}`);
console.log(`${begun} Checks after ${Math.round((Date.now() - started) / 1000)} s, ${differences} differences`);
process.exitCode = differences === 0 ? 0 : 1;
