import type { Config } from "../../config/load.ts";
import type { Owner } from "../../credential/lookup-cache.ts";
import { noneSource } from "../../credential/none.ts";
import type { CredentialSource } from "../../credential/source.ts";
import { staticSource } from "../../credential/static.ts";
import type { Log } from "../../ops/log.ts";
import type { Metrics } from "../../ops/metrics/serve.ts";
import { createExchangeSources } from "./exchange.ts";
import { createVaultSources } from "./vault.ts";

/** The chains of all servers, and what is behind them. */
export interface CredentialChains {
  readonly chains: ReadonlyMap<string, readonly CredentialSource[]>;
  /** Opens what the sources need. Resolves after the first try, well or not; what is away is tried again. */
  start(): Promise<void>;
  /** Forgets at once what is kept for callers who were revoked (threat row G18). */
  purge(isRevoked: (owner: Owner) => boolean): void;
  close(): Promise<void>;
}

export interface CredentialDeps {
  readonly log: Log;
  readonly metrics: Metrics;
}

type Entry = Config["servers"][string]["credential"][number];

/** What the configuration says to a caller who has no credential for a server. */
export function credentialHelp({ servers }: Config): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(servers).flatMap(([name, { credentialHelp: text }]) => (text === null ? [] : [[name, text]])),
  );
}

/** The kinds of credential, one row each. @throws {Error} that names the key at fault */
export function credentialChains(config: Config, deps: CredentialDeps): CredentialChains {
  const vault = createVaultSources(config, deps);
  const exchanges = createExchangeSources(config, deps);
  const source = (entry: Entry, server: string, key: string): CredentialSource => {
    if (entry.kind === "static") return staticSource(entry);
    if (entry.kind === "none") return noneSource();
    if (entry.kind === "vault") return vault.source(entry, server);
    return exchanges.source(entry, key);
  };
  return {
    chains: new Map(
      Object.entries(config.servers).map(([name, server]) => [
        name,
        server.credential.map((entry, i) => source(entry, name, `servers.${name}.credential[${i}]`)),
      ]),
    ),
    async start() {
      await Promise.all([vault.start(), exchanges.start()]);
    },
    purge(isRevoked) {
      vault.purge(isRevoked);
      exchanges.purge(isRevoked);
    },
    async close() {
      exchanges.close();
      await vault.close();
    },
  };
}
