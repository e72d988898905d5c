// Starts and ends the programs of one start, on the server's core or beside the generator. I/O.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { onServerCore, type Cores } from "./machine.ts";

export const ROOT: string = resolve(import.meta.dirname, "..");
const START_MS = 60_000;
const END_MS = 3000;
const LOG_BYTES = 2000;

type Env = Readonly<Record<string, string>>;

export class Processes {
  readonly #cores: Cores;
  readonly #log: string;
  readonly #children = new Set<ChildProcess>();

  /** @param log the file that takes what programs say to standard error */
  constructor(cores: Cores, log: string) {
    this.#cores = cores;
    this.#log = log;
  }

  /** Starts a program on the server's core. */
  serve(command: readonly string[], env: Env = {}): ChildProcess {
    return this.#start([...onServerCore(this.#cores), ...command], { env, isHeard: false });
  }

  /** The same for one that prints a line when it is ready. */
  async serveLine(command: readonly string[], env: Env = {}): Promise<{ child: ChildProcess; line: string }> {
    const child = this.#start([...onServerCore(this.#cores), ...command], { env, isHeard: true });
    return { child, line: await firstLine(child) };
  }

  /** Starts one of our own scripts beside the generator; resolves with the first line that it prints. */
  help(args: readonly string[]): Promise<string> {
    return firstLine(
      this.#start([process.execPath, "--disable-warning=ExperimentalWarning", ...args], { env: {}, isHeard: true }),
    );
  }

  /** Resolves when the program answers 200 there. @throws {Error} with what programs said last */
  async ready(child: ChildProcess, url: string): Promise<void> {
    const end = Date.now() + START_MS;
    while (!(await answersOk(url))) {
      if (child.exitCode !== null || Date.now() > end)
        throw new Error(`${url} does not answer 200\n${readFileSync(this.#log, "utf8").slice(-LOG_BYTES)}`);
      await delay(20);
    }
  }

  async end(child: ChildProcess): Promise<void> {
    this.#children.delete(child);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill();
    await Promise.race([ended, delay(END_MS, undefined, { ref: false }).then(() => child.kill("SIGKILL"))]);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#children].map((child) => this.end(child)));
  }

  /** @param isHeard its standard output is read; else it goes to the log */
  #start(command: readonly string[], { env, isHeard }: { readonly env: Env; readonly isHeard: boolean }): ChildProcess {
    const [program = "", ...args] = command;
    const log = openSync(this.#log, "a");
    const child = spawn(program, args, {
      ...{ stdio: ["ignore", isHeard ? "pipe" : log, log], cwd: ROOT },
      env: { ...process.env, ...env },
    });
    closeSync(log);
    this.#children.add(child);
    child.on("error", (error) => console.error(`${program}: ${error.message}`));
    return child;
  }
}

function answersOk(url: string): Promise<boolean> {
  return fetch(url).then(
    (response) => response.ok,
    () => false,
  );
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((done) => child.stdout?.once("data", (data: Buffer) => done(data.toString().trim())));
}
