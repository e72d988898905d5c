// SIGHUP: reads parts of the configuration again, each on its own. The I/O is the callers'.
import type { Log } from "./log.ts";

/** Parts that SIGHUP re-reads, by their name in the log. Each throws an error with a message for the operator. */
export type ReloadParts = Readonly<Record<string, () => void | Promise<void>>>;

/**
 * Re-reads every part. A part that fails is logged and keeps its old value; the others are re-read all the same.
 * @returns the names of the parts that were re-read
 */
export async function reloadParts(log: Log, parts: ReloadParts): Promise<string[]> {
  const reloaded: string[] = [];
  for (const [name, reload] of Object.entries(parts)) {
    try {
      await reload();
      reloaded.push(name);
    } catch (error) {
      const message = error instanceof Error ? error.message : "failed";
      log.error("reload_failed", { what: name, message, live: "what was read before" });
    }
  }
  return reloaded;
}

/**
 * Reads once for several parts: each call of the result gives the value or throws the error, so that every part that needs it
 * fails on its own. `value` is null for an error.
 */
export function readOnce<T>(read: () => T): (() => T) & { readonly value: T | null } {
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
