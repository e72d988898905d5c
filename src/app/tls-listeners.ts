// The TLS files of listeners, at the start and at SIGHUP. I/O: files.
import type { Config } from "../config/load.ts";
import { readTlsFiles } from "../files/tls.ts";
import type { TlsMaterial } from "../http/server.ts";
import type { Prepared, ReloadParts } from "../ops/reload.ts";

type TlsListener = keyof Config["tls"];

/** Reads the TLS material of a listener; null for a listener without TLS. @throws {Error} that names the key at fault */
export function tlsOf(config: Config, listener: TlsListener): TlsMaterial | null {
  const files = config.tls[listener];
  return files === undefined ? null : readTlsFiles(`tls.${listener}`, files, Date.now());
}

/** Makes the parts of a reload that read the TLS files of these listeners again; listeners without TLS have none. */
export function tlsParts(
  config: Pick<Config, "tls">,
  listeners: Readonly<Partial<Record<TlsListener, (material: TlsMaterial) => void>>>,
): ReloadParts {
  const entries = Object.entries(listeners) as [TlsListener, (material: TlsMaterial) => void][];
  return Object.fromEntries(
    entries.flatMap(([name, replace]) => {
      const files = config.tls[name];
      return files === undefined
        ? []
        : [[`tls.${name}`, () => preparedTls(readTlsFiles(`tls.${name}`, files, Date.now()), replace)]];
    }),
  );
}

function preparedTls(material: TlsMaterial, replace: (material: TlsMaterial) => void): Prepared {
  const { cert, key, clientCa } = material;
  const content = [cert, key, clientCa].map((pem) => pem?.toString("base64") ?? "").join("\n");
  return { putInForce: () => replace(material), drop: () => {}, content };
}
