// The end of npm or npx, seen by the service that it started: the shell between passes no signal on, so SIGTERM to npm ends npm and the
// shell alone. I/O: process.ppid and, on Linux, /proc, once a second.
import { readFileSync } from "node:fs";

const INTERVAL_MS = 1000;
const SHELL = /^(?:a|ba|da|k|z)?sh$/;
/** A script may run a script: far more than there are. */
const MAX_SHELLS = 8;

/** A service that was put into the background on purpose changes parents as well, so only these count. */
const startedByNpm = (): boolean =>
  process.env["npm_command"] !== undefined || process.env["npm_lifecycle_event"] !== undefined;

/** Process ids from the parent up, through shells, to the first program that is none. */
function ancestors(): string {
  const pids = [process.ppid];
  for (let pid = shellParent(process.ppid); pid !== null && pids.length <= MAX_SHELLS; pid = shellParent(pid))
    pids.push(pid);
  return pids.join(" ");
}

/** The parent of a process that is a shell, else null; null too where there is no /proc. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function shellParent(pid: number): number | null {
  try {
    const [, name = "", ppid = ""] = /^\d+ \((.*)\) \S (\d+) /s.exec(readFileSync(`/proc/${pid}/stat`, "latin1")) ?? [];
    return SHELL.test(name) ? Number(ppid) : null;
  } catch {
    return null;
  }
}

/** As the program started: what happens while it loads is seen, too. */
const atStart = ancestors();

/** Calls back once, when npm or npx, or a shell between, is gone. Does nothing if neither started this process. */
export function onParentGone(callback: () => void): void {
  if (!startedByNpm()) return;
  const timer = setInterval(() => {
    if (ancestors() === atStart) return;
    clearInterval(timer);
    callback();
  }, INTERVAL_MS);
  timer.unref();
}
