// The machine under the measurements: which core serves and which asks, CPU and memory of processes, and what everybody else uses
// of these cores. Reads /proc, calls taskset: Linux only. I/O.
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { cpus, release } from "node:os";

const TICKS_PER_SECOND = 100; // sysconf(_SC_CLK_TCK)
const KIB_PER_MIB = 1024;

/** The core of what is measured and that of the generator; null where they cannot be set apart, with the reason. */
export type Cores = { readonly server: number; readonly client: number } | { readonly why: string };

/** Sets this process, and so what it starts, on the last core that it may use; servers go on the first. */
export function setApart(): Cores {
  const allowed = allowedCores();
  const [server] = allowed;
  const client = allowed.at(-1);
  if (server === undefined || client === undefined || server === client)
    return { why: "there is one core: server and generator share it" };
  try {
    execFileSync("taskset", ["-a", "-cp", String(client), String(process.pid)], { stdio: "ignore" });
  } catch {
    return { why: "taskset did not work: server and generator run on any core" };
  }
  return { server, client };
}

/** The words to put before a server's command. */
export function onServerCore(cores: Cores): readonly string[] {
  return "why" in cores ? [] : ["taskset", "-c", String(cores.server)];
}

function allowedCores(): readonly number[] {
  const list = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return list.split(",").flatMap((part) => {
    const [from = 0, to = from] = part.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

/** Seconds of CPU so far of a process and of its children, all threads. */
export function cpuSeconds(pid: number): number {
  const fields = statOf(pid);
  if (fields === null) return 0;
  const own = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  return childrenOf(pid).reduce((sum, child) => sum + cpuSeconds(child), own);
}

function statOf(pid: number): readonly string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return null; // it has ended
  }
}

function childrenOf(pid: number): readonly number[] {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    return tasks.flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return []; // it has ended
  }
}

export function residentMiB(pid: number): number {
  const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0;
  return Math.round(Number(kib) / KIB_PER_MIB);
}

export interface CoreTimes {
  /** Seconds in which programs ran, by core. Interrupts are left out: those of our packets are nobody's. */
  readonly busy: readonly number[];
  /** Seconds that the host took away, all cores. */
  readonly stolen: number;
}

export function coreTimes(): CoreTimes {
  const lines = readFileSync("/proc/stat", "utf8")
    .split("\n")
    .filter((line) => /^cpu\d/.test(line));
  const times = lines.map((line) =>
    line
      .trim()
      .split(/\s+/)
      .slice(1)
      .map((ticks) => Number(ticks) / TICKS_PER_SECOND),
  );
  return {
    busy: times.map(([user = 0, nice = 0, system = 0]) => user + nice + system),
    stolen: times.reduce((sum, fields) => sum + (fields[7] ?? 0), 0),
  };
}

/** For the head of a table. */
export function describeMachine(cores: Cores): Readonly<Record<string, string>> {
  const [cpu] = cpus();
  const pinned = "why" in cores ? cores.why : `server on core ${cores.server}, generator on core ${cores.client}`;
  return {
    cpu: `${cpus().length} × ${cpu?.model.trim() ?? "unknown"}`,
    kernel: release(),
    node: process.version,
    pinned,
    commit: commit(),
  };
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return "unknown";
  }
}
