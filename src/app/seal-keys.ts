// Reads the keys of `sessions.keys`. I/O: key files.
import { readFileSync } from "node:fs";
import type { Config } from "../config/load.ts";
import { ConfigProblem } from "../files/config-problem.ts";
import { unreadable } from "../files/read-error.ts";
import type { Prepared } from "../ops/reload.ts";
import { createSealer, type Sealer, type SealKey } from "../secret/seal.ts";

const KEY_BYTES = 32;

/**
 * The keys that seal what clients hold for us; null without `sessions`.
 * @throws {ConfigProblem} that names the key and the remedy
 */
export function loadSealKeys({ sessions }: Pick<Config, "sessions">): SealKey[] | null {
  return sessions === null ? null : sessions.keys.map((key, i) => loadSealKey(key, `sessions.keys[${i}]`));
}

/** A sealer whose keys can be replaced. */
export interface LiveSealer extends Sealer {
  /** Takes the keys of another configuration; without `sessions` in it, those that are there stay. @throws {ConfigProblem} */
  reload(config: Pick<Config, "sessions">): void;
  /** The same in two steps. */
  prepare(config: Pick<Config, "sessions">): Prepared;
}

/** Null without `sessions`. @throws {ConfigProblem} */
export function createLiveSealer(config: Pick<Config, "sessions">): LiveSealer | null {
  const keys = loadSealKeys(config);
  if (keys === null) return null;
  let live = createSealer(keys);
  const prepare = (next: Pick<Config, "sessions">): Prepared => {
    const others = loadSealKeys(next);
    const sealer = others === null ? null : createSealer(others);
    const content = (others ?? []).map(({ id, key }) => `${id} ${Buffer.from(key).toString("base64")}`).join("\n");
    return { putInForce: () => void (live = sealer ?? live), drop: () => {}, content };
  };
  return {
    seal: (...what) => live.seal(...what),
    open: (...what) => live.open(...what),
    reload: (next) => void prepare(next).putInForce(),
    prepare,
  };
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
