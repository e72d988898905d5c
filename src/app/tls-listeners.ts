import type { Config } from "../config/load.ts";
import { readTlsFiles, type TlsMaterial } from "../files/tls.ts";
import type { ReloadParts } from "../ops/reload.ts";

type TlsListener = keyof Config["tls"];

/** The TLS material of a listener, or null where it speaks without. @throws {Error} that names the key at fault */
export function tlsOf(config: Config, listener: TlsListener): TlsMaterial | null {
  const files = config.tls[listener];
  return files === undefined ? null : readTlsFiles(`tls.${listener}`, files, Date.now());
}

/** What SIGHUP does about the TLS files of these listeners; those that speak without are left out. */
export function tlsParts(
  config: Config,
  listeners: Readonly<Partial<Record<TlsListener, (material: TlsMaterial) => void>>>,
): ReloadParts {
  const entries = Object.entries(listeners) as [TlsListener, (material: TlsMaterial) => void][];
  return Object.fromEntries(
    entries.flatMap(([name, replace]) => {
      const files = config.tls[name];
      return files === undefined
        ? []
        : [[`tls.${name}`, () => replace(readTlsFiles(`tls.${name}`, files, Date.now()))]];
    }),
  );
}
