// `npm run bench [-- ROW…]`: the work of one core, side by side with whoever else does it. `--help` says how.
import { parseArgs } from "node:util";
import { describeMachine, setApart } from "./machine.ts";
import { peersOf } from "./peers.ts";
import { ROWS } from "./rows.ts";
import { runRow, type Plan } from "./run.ts";
import { table, warnings } from "./table.ts";
import { save } from "./results.ts";

const HELP = `npm run bench -- [ROW…] [OPTION…]

Rows (all without a name):
${ROWS.map(({ name, title }) => `  ${name.padEnd(16)} ${title}`).join("\n")}

Options:
  --peer NAME=PATH   also measure this program: opa-envoy-plugin, authorino, kuadrant-broker
  --restarts N       each program is started so often (3)
  --rounds N         windows of each program between two starts (5)
  --window-ms N      length of a closed window (500)
  --warm-ms N        load before the first window of a start (2000)
  --save             keep the figures in bench/results/ROW.json
  --quick            one start, two short windows: does it run?
`;

const { values, positionals } = parseArgs({
  options: {
    help: { type: "boolean", short: "h", default: false },
    peer: { type: "string", multiple: true, default: [] },
    restarts: { type: "string", default: "3" },
    rounds: { type: "string", default: "5" },
    "window-ms": { type: "string", default: "500" },
    "warm-ms": { type: "string", default: "2000" },
    save: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
  },
  allowPositionals: true,
});

const plan: Plan = values.quick
  ? { restarts: 1, rounds: 2, windowMs: 200, warmMs: 300, repeats: 0 }
  : {
      restarts: Number(values.restarts),
      rounds: Number(values.rounds),
      windowMs: Number(values["window-ms"]),
      warmMs: Number(values["warm-ms"]),
      repeats: 3,
    };

async function run(): Promise<void> {
  const unknown = positionals.find((name) => !ROWS.some((row) => row.name === name));
  if (unknown !== undefined)
    throw new Error(`no row ${unknown}; there are: ${ROWS.map(({ name }) => name).join(", ")}`);
  const peers = peersOf(values.peer);
  const cores = setApart();
  const machine = describeMachine(cores);
  console.log(
    Object.entries(machine)
      .map(([key, value]) => `${key}: ${value}`)
      .join(" · "),
  );
  for (const row of ROWS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
    const result = await runRow(row, { peers, cores, plan });
    console.log([`\n## ${row.title}\n`, table(result), ...warnings(result)].join("\n"));
    if (values.save) save({ ...result, machine });
  }
}

if (values.help) console.log(HELP);
else
  await run().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
process.exit();
