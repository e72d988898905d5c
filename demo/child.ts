// One child process of the lab: its output in a file, its end waited for.
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const GRACE_MS = 8_000;

export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  running(): boolean;
  /** Everything it has written so far. */
  output(): string;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, then SIGKILL after a grace; resolves when it is gone. */
  stop(): Promise<void>;
  /** Resolves with the exit code, or 1 for a signal. */
  readonly exited: Promise<number>;
}

export interface ChildSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Where a part of the lab in `folder` writes its log: all in one place, which is made. */
export function logPath(folder: string, file: string): string {
  const logs = join(folder, "logs");
  mkdirSync(logs, { recursive: true });
  return join(logs, file);
}

/** Those that run. They are detached, so nobody but us ends them: not even an exception that nobody caught leaves one behind. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export function startChild(spec: ChildSpec): Child {
  const log = openSync(spec.logFile, "w");
  const child: ChildProcess = spawn(spec.command, [...spec.args], {
    cwd: spec.cwd,
    stdio: ["ignore", log, log],
    env: { ...process.env, ...spec.env },
    detached: true, // a terminal's Ctrl-C must not reach it: we end it ourselves, in order
  });
  closeSync(log);
  running.add(child);
  let ended = false;
  const exited = new Promise<number>((done) => {
    const end = (code: number) => {
      ended = true;
      running.delete(child);
      done(code);
    };
    child.on("error", () => end(127));
    child.on("exit", (code) => end(code ?? 1));
  });
  return {
    name: spec.name,
    pid: child.pid ?? 0,
    logFile: spec.logFile,
    running: () => !ended,
    output: () => readFileSync(spec.logFile, "utf8"),
    kill: (signal) => void child.kill(signal),
    exited,
    async stop() {
      if (ended) return;
      child.kill("SIGTERM");
      const late = await Promise.race([exited.then(() => false), delay(GRACE_MS, true, { ref: false })]);
      if (late) child.kill("SIGKILL");
      await exited;
    },
  };
}

/** Waits until a URL answers 200. Fails at once if the child ends first, with the fault that it named. */
export async function waitReady(child: Child, url: string, timeoutMs = 120_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (!child.running()) throw new Error(`${child.name} did not start: ${faultOf(child)}`);
    const answered = await fetch(url, { signal: AbortSignal.timeout(1000) }).then(
      (response) => response.status === 200,
      () => false,
    );
    if (answered) return;
    await delay(50);
  }
  throw new Error(`${child.name} is not ready after ${timeoutMs / 1000} s:\n${tail(child)}`);
}

/** What a command of ours says before it ends: the fault, and what to do; else the end of the log. */
function faultOf(child: Child): string {
  const [, fault] = /^mcp-authz [\w-]+: (.*(?:\n(?!\{).*)*)/m.exec(child.output()) ?? [];
  return fault?.trimEnd() ?? `it ended, and its log ends so:\n${tail(child)}`;
}

function tail(child: Child): string {
  return child.output().split("\n").slice(-15).join("\n") || `(no output; see ${child.logFile})`;
}
