// Reads parts of the configuration again while a process runs, each on its own: at SIGHUP, and when its files have changed. The
// I/O is the callers'.
import type { Log } from "./log.ts";

/** Parts that are re-read, by their name in the log. Each throws an error with a message for the operator. */
export type ReloadParts = Readonly<Record<string, () => void | Promise<void>>>;

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
  /** Reads everything again; one at a time. A part that fails stays as it was. */
  reload(cause: ReloadCause): Promise<void>;
  state(): ConfigState;
}

export function createReloader<T>(options: ReloaderOptions<T>): Reloader {
  const { log, read, parts, waiting, about = () => ({}), onReload } = options;
  let state: ConfigState = { stale: null, restartNeeded: [] };
  let last: Promise<void> = Promise.resolve();

  async function run(cause: ReloadCause): Promise<void> {
    const next = readOnce(read);
    const { reloaded, faults } = await reloadParts(log, parts({ next, cause }));
    log.info("reloaded", { what: reloaded.join(", "), cause, ...about() });
    const restartNeeded = next.value === null ? state.restartNeeded : waiting(next.value);
    state = { stale: faults.length === 0 ? null : faults.join("\n"), restartNeeded };
    onReload(faults.length === 0 ? "ok" : "failed");
    if (restartNeeded.length > 0 && next.value !== null)
      log.warn("restart_needed", { message: `changed, but read at the start only: ${restartNeeded.join(", ")}` });
  }

  return {
    reload(cause) {
      last = last.catch(() => {}).then(() => run(cause));
      return last;
    },
    state: () => state,
  };
}

/** Re-reads every part. A part that fails is logged and keeps its old value; the others are re-read all the same. */
async function reloadParts(log: Log, parts: ReloadParts): Promise<{ reloaded: string[]; faults: string[] }> {
  const reloaded: string[] = [];
  const faults = new Set<string>();
  for (const [name, reload] of Object.entries(parts)) {
    try {
      await reload();
      reloaded.push(name);
    } catch (error) {
      const message = error instanceof Error ? error.message : "failed";
      log.error("reload_failed", { what: name, message, live: "what was read before" });
      faults.add(message);
    }
  }
  return { reloaded, faults: [...faults] };
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
