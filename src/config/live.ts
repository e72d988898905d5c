// Which keys SIGHUP applies while the processes run, and what has changed between two readings of a configuration. Pure.
import { Secret } from "../secret/secret.ts";
import type { Config } from "./load.ts";

/** The keys that follow the servers; every other change needs a restart. */
const LIVE_KEYS = [
  "servers",
  "legacySse",
  "virtualServers",
  "callRouting",
  "hosts",
  "cors",
  "challenge",
  "denial",
  "outgoing",
  "allowHttp",
  "negativeTtlMs",
] as const;

/** The configuration in force, with the live keys of one that was just read. */
export function withLiveKeys(config: Config, next: Config): Config {
  const live = Object.fromEntries(LIVE_KEYS.map((key) => [key, next[key]]));
  // The development identity is judged against the listeners, which are not live.
  const { revocationFile, development } = config.identity;
  return { ...config, ...live, identity: { ...next.identity, revocationFile, development } };
}

/** The top-level keys that differ. Keys of wristbands, assertions and sessions are reloaded on their own. */
export function changedKeys(before: Config, after: Config): string[] {
  const textOf = (config: Config, key: keyof Config) => {
    if (key === "wristband" || key === "assertions" || (key === "sessions" && config[key] !== null))
      return configText({ ...config[key], keys: null });
    return configText(config[key]);
  };
  return (Object.keys(after) as (keyof Config)[]).filter((key) => textOf(before, key) !== textOf(after, key));
}

/** A value of a configuration as a text that differs where it does, secrets included: for comparisons alone, never shown. */
export function configText(value: unknown): string {
  return JSON.stringify(value, function (this: Readonly<Record<string, unknown>>, name: string) {
    const each = this[name]; // what comes as an argument is a secret's mark already
    if (each instanceof Secret) return each.reveal();
    return each instanceof Set ? [...each] : each;
  });
}
