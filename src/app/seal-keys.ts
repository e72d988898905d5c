// Reads the keys of `sessions.keys`. I/O: key files.
import { readFileSync } from "node:fs";
import type { Config } from "../config/load.ts";
import { ConfigProblem } from "../files/config-problem.ts";
import { unreadable } from "../files/read-error.ts";
import { createTaskIds, type TaskIds } from "../authz/task-ids.ts";
import { createSealer, type SealKey } from "../secret/seal.ts";

const KEY_BYTES = 32;

/**
 * The keys that seal what clients hold for us; null without `sessions`.
 * @throws {ConfigProblem} that names the key and the remedy
 */
export function loadSealKeys({ sessions }: Pick<Config, "sessions">): SealKey[] | null {
  return sessions === null ? null : sessions.keys.map((key, i) => loadSealKey(key, `sessions.keys[${i}]`));
}

/** Ids of tasks, sealed with these keys; null without `sessions`: then no tasks are offered. @throws {ConfigProblem} */
export function taskIdsOf(config: Pick<Config, "sessions">): TaskIds | null {
  const keys = loadSealKeys(config);
  return keys === null ? null : createTaskIds(createSealer(keys));
}

/** Reads one of the keys, as {@link loadSealKeys} does. */
export function loadSealKey({ id, file }: { readonly id: string; readonly file: string }, at: string): SealKey {
  const key = readKey(file, at);
  if (key.length !== KEY_BYTES)
    throw new ConfigProblem(
      at,
      `${file} is not of ${KEY_BYTES} bytes. Make one: openssl rand -out ${file} ${KEY_BYTES}`,
    );
  return { id, key };
}

function readKey(file: string, at: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ConfigProblem(at, `${file} ${unreadable(error)}`, { cause: error });
  }
}
