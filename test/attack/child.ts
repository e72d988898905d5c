// One attacker, hostile server or honest caller in a process of its own: a task by IPC, reports back by IPC.
import { fork, type ChildProcess } from "node:child_process";
import { resolve } from "node:path";

export interface Helper {
  readonly pid: number;
  /** The next report. Rejects when the process ends without one. */
  report<T>(): Promise<T>;
  tell(message: object): void;
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** @param file below test/attack @param task what it is to do, in values that JSON can hold */
export function startHelper(file: string, task: object): Helper {
  const child = fork(resolve(import.meta.dirname, file), {
    execArgv: ["--disable-warning=ExperimentalWarning"],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  running.add(child);
  const reports: unknown[] = [];
  const waiting: ((end: "ended" | null) => void)[] = [];
  let ended = false;
  const wake = (end: "ended" | null) => waiting.splice(0).forEach((each) => each(end));
  child.on("message", (report) => {
    reports.push(report);
    wake(null);
  });
  const gone = new Promise<void>((done) => {
    child.on("exit", () => {
      ended = true;
      running.delete(child);
      wake("ended");
      done();
    });
  });
  child.send(task);
  return {
    pid: child.pid ?? 0,
    async report<T>() {
      if (reports.length === 0 && !ended) await new Promise((done) => waiting.push(done));
      if (reports.length === 0) throw new Error(`${file} ended without a report`);
      return reports.shift() as T;
    },
    tell: (message) => void child.send(message),
    async stop() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}
