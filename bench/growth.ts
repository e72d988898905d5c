// `npm run bench:growth [-- PART…]`: what a Check costs as things grow, memory over a million Checks, the time to ready, and what
// happens past capacity. `--help` says how.
import { parseArgs } from "node:util";
import { describeMachine, setApart, type Cores } from "./machine.ts";
import { measureAxis } from "./parts/axis.ts";
import { AXES } from "./growth-axes.ts";
import { measureMemory } from "./parts/memory.ts";
import { measureOverload } from "./parts/overload.ts";
import { measureStart } from "./parts/start.ts";
import { write } from "./results.ts";

/** Gives what is kept, of which `text` is printed. */
type Part = (cores: Cores, isQuick: boolean) => Promise<{ readonly text: string }>;

const PARTS: Readonly<Record<string, Part>> = {
  ...Object.fromEntries(
    AXES.map((axis) => [axis.name, (cores, isQuick) => measureAxis(axis, cores, isQuick)] satisfies [string, Part]),
  ),
  memory: measureMemory,
  start: measureStart,
  overload: measureOverload,
};

const HELP = `npm run bench:growth -- [PART…] [--save] [--quick]

Parts (all without a name): ${Object.keys(PARTS).join(", ")}

  --save    keep the figures in bench/results/PART.json
  --quick   the least sizes, short windows: does it run?
`;

const { values, positionals } = parseArgs({
  options: {
    help: { type: "boolean", short: "h", default: false },
    save: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
  },
  allowPositionals: true,
});

async function run(): Promise<void> {
  const unknown = positionals.find((name) => PARTS[name] === undefined);
  if (unknown !== undefined) throw new Error(`no part ${unknown}; there are: ${Object.keys(PARTS).join(", ")}`);
  const cores = setApart();
  const machine = describeMachine(cores);
  for (const [name, part] of Object.entries(PARTS)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    const found = await part(cores, values.quick);
    console.log(`\n## ${name}\n\n${found.text}`);
    if (values.save) write(name, { name, ...found, machine, date: new Date().toISOString().slice(0, 10) });
  }
}

if (values.help) console.log(HELP);
else
  await run().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
process.exit();
