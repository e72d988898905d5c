import type { Log } from "./log.ts";

/** What SIGHUP reads again, by a name for the log. Each throws with a message for the operator. */
export type ReloadParts = Readonly<Record<string, () => void | Promise<void>>>;

/**
 * Reads every part again. One that fails leaves what is live, is logged, and keeps none of the others from being read.
 * @returns the names of those that are new
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
