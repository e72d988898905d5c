// The time from the start of `serve` to ready, with a compiled policy and an issuer that answers at once. I/O.
import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";
import type { Cores } from "../machine.ts";
import { direct, grantsByGroup, writePolicy } from "../ours/serve.ts";
import { ROOT } from "../processes.ts";
import { spreadText } from "../statistics.ts";
import { createWorld, writeConfig } from "../world.ts";

export interface StartResult {
  readonly text: string;
  /** Milliseconds. */
  readonly oneCore: readonly number[];
  readonly allCores: readonly number[];
}

const STARTS = 7;

export async function measureStart(cores: Cores, isQuick: boolean): Promise<StartResult> {
  const starts = isQuick ? 1 : STARTS;
  const [oneCore, allCores] = [await times(cores, starts), await times({ why: "all cores" }, starts)];
  const row = (what: string, values: readonly number[]) => `| ${what} | ${spreadText(values, 0)} |`;
  const rows = [row("one core", oneCore), row("every core", allCores)];
  return {
    text: ["| `serve` with a compiled policy | ms to ready [quartiles] |", "| --- | ---: |", ...rows].join("\n"),
    oneCore,
    allCores,
  };
}

async function times(cores: Cores, starts: number): Promise<readonly number[]> {
  const world = await createWorld(cores);
  const found: number[] = [];
  try {
    writePolicy(world, grantsByGroup());
    const bundle = join(world.folder, "policy.tar.gz");
    const cli = [process.execPath, "--disable-warning=ExperimentalWarning", "src/cli/mcp-authz.ts"];
    execFileSync(process.execPath, [...cli.slice(1), "build-policy", join(world.folder, "policy"), "-o", bundle], {
      cwd: ROOT,
      stdio: "ignore",
    });
    for (let i = 0; i < starts; i += 1) {
      const { file, ops } = await writeConfig(world, { ...direct, policy: { path: bundle } });
      const before = performance.now();
      const free = "why" in cores ? ["taskset", "-c", ALL_CORES] : [];
      const child = world.processes.serve([...free, ...cli, "serve", "--config", file]);
      await world.processes.ready(child, `http://${ops}/readyz`);
      found.push(performance.now() - before);
      await world.processes.end(child);
    }
    return found;
  } finally {
    await world.close();
  }
}

/** The generator's own core is left by `taskset`. */
const ALL_CORES = `0-${cpus().length - 1}`;
