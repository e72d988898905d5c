import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const CLOCK_TICKS_PER_SECOND = 100; // Linux: sysconf(_SC_CLK_TCK)
const START_MS = 20_000;

export function startChild(args: readonly string[], cwd: string): ChildProcess {
  return spawn(process.execPath, [...args], { stdio: ["ignore", "pipe", "inherit"], cwd });
}

/** Seconds of CPU so far, all threads. */
export function cpuSeconds({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

export function residentMiB({ pid }: ChildProcess): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024);
}

/** The first line that a child prints. */
export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((done) => child.stdout?.once("data", (data: Buffer) => done(data.toString().trim())));
}

export async function waitUntilOk(child: ChildProcess, url: string): Promise<void> {
  const end = Date.now() + START_MS;
  for (;;) {
    const ok = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    if (child.exitCode !== null || Date.now() > end) throw new Error(`${url} does not answer 200`);
    await delay(50);
  }
}
