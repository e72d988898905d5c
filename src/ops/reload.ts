// Reads parts of the configuration again while a process runs, each on its own: at SIGHUP, and when its files have changed. The
// I/O is the callers'.
import type { Log } from "./log.ts";

/** A part of a configuration that is ready to be put in force. */
export interface Prepared {
  /** Takes effect at once; what it returns is what follows from it. */
  putInForce(): void | Promise<void>;
  /** In its place: it is not wanted after all. */
  drop(): void;
  /** A text that tells what it would put in force, secrets included; only a digest of it is passed on. */
  readonly content?: string;
}

/**
 * Parts that are re-read, by their name in the log: each is made ready, or is in force when it returns nothing. Each throws an error
 * with a message for the operator.
 */
export type ReloadParts = Readonly<Record<string, () => Prepared | void | Promise<Prepared | void>>>;

/** Whether this part is taken. @param ready null if it cannot be; else what would be put in force */
export type Agree = (part: string, ready: { readonly content: string } | null) => Promise<boolean>;

/** What made a process read again. */
export type ReloadCause = "signal" | "files";

/** How the last reading ended. */
export interface ConfigState {
  /** What of the configuration cannot be used, in words for the operator; null if it is in force as it stands in its files. */
  readonly stale: string | null;
  /** Keys that have changed, but are read at the start only. */
  readonly restartNeeded: readonly string[];
}

export interface Reading<T> {
  /** The configuration as it is now. @throws {Error} that names the key at fault */
  readonly next: () => T;
  readonly cause: ReloadCause;
}

export interface ReloaderOptions<T> {
  readonly log: Log;
  readonly read: () => T;
  readonly parts: (reading: Reading<T>) => ReloadParts;
  /** The keys that differ from what is in force after the parts were read. */
  readonly waiting: (next: T) => readonly string[];
  /** Further fields of the log event. */
  readonly about?: () => Readonly<Record<string, string>>;
  readonly onReload: (result: "ok" | "failed") => void;
}

export interface Reloader {
  /**
   * Reads everything again; one at a time. A part that fails stays as it was.
   * @param agree where others read the same: a part is taken by all or by none
   */
  reload(cause: ReloadCause, agree?: Agree): Promise<void>;
  state(): ConfigState;
}

export function createReloader<T>(options: ReloaderOptions<T>): Reloader {
  const { log, read, parts, waiting, about = () => ({}), onReload } = options;
  let state: ConfigState = { stale: null, restartNeeded: [] };
  let last: Promise<void> = Promise.resolve();

  async function run(cause: ReloadCause, agree: Agree): Promise<void> {
    const next = readOnce(read);
    const { reloaded, faults } = await reloadParts(log, parts({ next, cause }), agree);
    log.info("reloaded", { what: reloaded.join(", "), cause, ...about() });
    const restartNeeded = next.value === null ? state.restartNeeded : waiting(next.value);
    state = { stale: faults.length === 0 ? null : faults.join("\n"), restartNeeded };
    onReload(faults.length === 0 ? "ok" : "failed");
    if (restartNeeded.length > 0 && next.value !== null)
      log.warn("restart_needed", { message: `changed, but read at the start only: ${restartNeeded.join(", ")}` });
  }

  return {
    reload(cause, agree = alone) {
      last = last.catch(() => {}).then(() => run(cause, agree));
      return last;
    },
    state: () => state,
  };
}

const alone: Agree = (_, ready) => Promise.resolve(ready !== null);
const OTHERS = "another worker cannot take it, or has read something else: none does";

/** Re-reads every part. A part that fails is logged and keeps its old value; the others are re-read all the same. */
async function reloadParts(
  log: Log,
  parts: ReloadParts,
  agree: Agree,
): Promise<{ reloaded: string[]; faults: string[] }> {
  const reloaded: string[] = [];
  const faults = new Set<string>();
  for (const [name, prepare] of Object.entries(parts)) {
    const fault = await takePart(prepare, (ready) => agree(name, ready));
    if (fault === null) reloaded.push(name);
    else {
      log.error("reload_failed", { what: name, message: fault, live: "what was read before" });
      faults.add(fault);
    }
  }
  return { reloaded, faults: [...faults] };
}

/** Null when the part is in force; else why it is not. */
async function takePart(
  prepare: ReloadParts[string],
  agree: (ready: { readonly content: string } | null) => Promise<boolean>,
): Promise<string | null> {
  const made = await attempt(prepare);
  const isAgreed = await agree("fault" in made ? null : { content: made.prepared?.content ?? "" });
  if ("fault" in made) return made.fault;
  if (!isAgreed) {
    made.prepared?.drop();
    return OTHERS;
  }
  const put = await attempt(async () => {
    await made.prepared?.putInForce();
  });
  return "fault" in put ? put.fault : null;
}

async function attempt(
  run: ReloadParts[string],
): Promise<{ readonly prepared: Prepared | undefined } | { readonly fault: string }> {
  try {
    return { prepared: (await run()) ?? undefined };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : "failed" };
  }
}

/**
 * Reads once for several parts: each call of the result gives the value or throws the error, so that every part that needs it
 * fails on its own. `value` is null for an error.
 */
function readOnce<T>(read: () => T): (() => T) & { readonly value: T | null } {
  try {
    const value = read();
    return Object.assign(() => value, { value });
  } catch (error) {
    const fail = (): never => {
      throw error;
    };
    return Object.assign(fail, { value: null });
  }
}
