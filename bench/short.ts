// `npm run bench:short`: has the CPU of a decision moved, as a multiple of that of a gRPC server which decides nothing? Both are measured in
// the same windows; it fails only where each of three starts says so, by more than 25 % of bench/results/short.json. `--renew` writes that file.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { requireAlike } from "./alike.ts";
import { setApart, type Cores } from "./machine.ts";
import { noop } from "./ours/noop.ts";
import { serve } from "./ours/serve.ts";
import { FOLDER, write } from "./results.ts";
import type { Service } from "./service.ts";
import { generate, closedLoop } from "./load.ts";
import { quantile } from "./statistics.ts";
import { measure } from "./window.ts";
import { createWorld } from "./world.ts";
import { isSlower, SLOWER } from "./verdict.ts";

const STARTS = 3;
const ROUNDS = 6;
const WARM_MS = 3000;
const LOAD = closedLoop({ ms: 400 });

/** CPU of a decision by that of nothing: the median of one start. */
async function oneStart(cores: Cores): Promise<number> {
  const world = await createWorld(cores);
  try {
    const services: Service[] = [];
    for (const variant of [noop, serve("serve", "mcp-authz serve", {})]) {
      const service = await variant.start(world);
      await requireAlike(variant, service);
      await generate(service, closedLoop({ warmMs: WARM_MS, ms: 50 }), { start: () => {}, end: () => {} });
      services.push(service);
    }
    const windows: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) windows.push(await oneRound(services, cores));
    return quantile(windows, 0.5);
  } finally {
    await world.close();
  }
}

/** One window of each. @returns the second's CPU by the first's */
async function oneRound(services: readonly Service[], cores: Cores): Promise<number> {
  const micros: number[] = [];
  for (const service of services) micros.push((await measure(service, LOAD, { cores, repeats: 0 })).cpuMicros);
  return (micros[1] ?? Number.NaN) / (micros[0] ?? Number.NaN);
}

const cores = setApart();
const found: number[] = [];
for (let i = 0; i < STARTS; i += 1) found.push(await oneStart(cores));
const baseline = file();
console.log(
  `CPU of a decision by that of nothing: ${found.map((ratio) => ratio.toFixed(2)).join(", ")}; baseline ${baseline.toFixed(2)}`,
);
if (process.argv.includes("--renew")) write("short", { ratio: quantile(found, 0.5) });
else if (isSlower(found, baseline)) {
  console.error(
    `Each of ${STARTS} starts is more than ${SLOWER * 100} % above it. Profile the change, or say why it is worth that and run: npm run bench:short -- --renew`,
  );
  process.exitCode = 1;
}
process.exit();

function file(): number {
  const name = join(FOLDER, "short.json");
  return existsSync(name) ? (JSON.parse(readFileSync(name, "utf8")) as { ratio: number }).ratio : Number.NaN;
}
