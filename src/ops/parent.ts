// The end of npm or npx, seen by the service that it started: the shell between passes no signal on, so SIGTERM to npm ends npm and the
// shell alone. I/O: process.ppid and, on Linux, /proc, once a second.
import { readFileSync } from "node:fs";
import { errorCode } from "../files/read-error.ts";

const INTERVAL_MS = 1000;
const SHELL = /^(?:a|ba|da|k|z)?sh$/;
/** A script may run a script: far more than there are. */
const MAX_SHELLS = 8;

/** A service that was put into the background on purpose changes parents as well, so only these count. */
const startedByNpm = (): boolean =>
  process.env["npm_command"] !== undefined || process.env["npm_lifecycle_event"] !== undefined;

interface ProcessStat {
  readonly name: string;
  readonly parent: number;
}

/**
 * Null for a process that is gone, and where there is no /proc; undefined if it cannot be told, as where no descriptor is left.
 * https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
function statOf(pid: number): ProcessStat | null | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [, name = "", parent = ""] = /^\d+ \((.*)\) \S (\d+) /s.exec(stat) ?? [];
    return { name, parent: Number(parent) };
  } catch (error) {
    return ["ENOENT", "ESRCH"].includes(errorCode(error)) ? null : undefined;
  }
}

/** Process ids from the parent up, through shells, to the first program that is none. */
function ancestors(): number[] {
  const pids = [process.ppid];
  for (let stat = statOf(process.ppid); stat && SHELL.test(stat.name); stat = statOf(stat.parent)) {
    if (pids.push(stat.parent) > MAX_SHELLS) break;
  }
  return pids;
}

/** As the program started: what happens while it loads is seen, too. */
const atStart = ancestors();

function hasLeft(pid: number, parent: number): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat?.parent !== parent;
}

/** By the ids alone: a shell may go on as another program (`exec`). */
const isGone = (): boolean =>
  process.ppid !== atStart[0] || atStart.slice(1).some((parent, i) => hasLeft(atStart[i] ?? 0, parent));

/** Calls back once, when npm or npx, or a shell between, is gone. Does nothing if neither started this process. */
export function onParentGone(callback: () => void): void {
  if (!startedByNpm()) return;
  const timer = setInterval(() => {
    if (!isGone()) return;
    clearInterval(timer);
    callback();
  }, INTERVAL_MS);
  timer.unref();
}
