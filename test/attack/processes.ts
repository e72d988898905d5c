// What the processes of the lab use, and what the machine does beside them, from /proc (proc(5)).
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import type { AttackLab } from "./lab.ts";
import { PROCESSES, type ProcessName } from "./settings.ts";

const SAMPLE_MS = 200;

export interface MemoryWatch {
  /** Ends it. @returns the most that each had resident, in MiB */
  stop(): Readonly<Record<ProcessName, number>>;
}

/** Samples the resident set of each process. One that is gone counts with what was seen before. */
export function watchMemory({ children }: AttackLab): MemoryWatch {
  const peak: Record<ProcessName, number> = { envoy: 0, serve: 0, broker: 0 };
  const sample = () => {
    for (const name of PROCESSES) peak[name] = Math.max(peak[name], residentMebibytes(children[name].pid));
  };
  sample();
  const timer = setInterval(sample, SAMPLE_MS);
  return {
    stop() {
      clearInterval(timer);
      sample();
      return peak;
    },
  };
}

export function residentMebibytes(pid: number): number {
  try {
    const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    return Math.round(Number(kibibytes ?? 0) / 1024);
  } catch {
    return 0;
  }
}

export interface LoadWatch {
  /** The share of all cores' time that went to processes which are not ours, 0 to 1. */
  foreign(): number;
}

/** Foreign load: what the machine was busy with, less what this process and its descendants used. */
export function watchLoad(): LoadWatch {
  const before = { machine: machineTicks(), ours: ourTicks(), at: performance.now() };
  return {
    foreign() {
      const seconds = (performance.now() - before.at) / 1000;
      const ticks = machineTicks() - before.machine - (ourTicks() - before.ours);
      return Math.max(0, ticks / TICKS_PER_SECOND / seconds / cpus().length);
    },
  };
}

/** USER_HZ, which is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** user, nice, system, irq, softirq and steal of all cores. */
function machineTicks(): number {
  const [first = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = first
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return user + nice + system + irq + softirq + steal;
}

/** Of this process and its descendants, ended ones that were waited for included. */
function ourTicks(): number {
  const parents = new Map<number, number>();
  const ticks = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const fields = statFields(entry);
    if (fields === null) continue;
    const [, parent = 0] = fields;
    const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
    parents.set(Number(entry), parent);
    ticks.set(Number(entry), utime + stime + cutime + cstime);
  }
  let sum = 0;
  for (const [pid, used] of ticks) if (isOurs(pid, parents)) sum += used;
  return sum;
}

function isOurs(pid: number, parents: ReadonlyMap<number, number>): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at))
    if (at === process.pid || at === process.ppid) return true;
  return false;
}

/** The fields behind the name: state is the first, the parent the second. */
function statFields(pid: string): number[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text
      .slice(text.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number);
  } catch {
    return null;
  }
}
