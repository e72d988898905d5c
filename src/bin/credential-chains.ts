import type { Config } from "../config.ts";
import { noneSource } from "../credential/none.ts";
import type { CredentialSource } from "../credential/source.ts";
import { staticSource } from "../credential/static.ts";
import type { Metrics } from "../ops/metrics.ts";
import { createExchangeSources } from "./exchange-sources.ts";

/** The chains of all servers, and what is behind them. */
export interface CredentialChains {
  readonly chains: ReadonlyMap<string, readonly CredentialSource[]>;
  close(): Promise<void>;
}

export interface CredentialDeps {
  readonly metrics: Metrics;
}

type Entry = Config["servers"][string]["credential"][number];

/** The kinds of credential, one row each. @throws {Error} that names the key at fault */
export function credentialChains(config: Config, deps: CredentialDeps): CredentialChains {
  const exchanges = createExchangeSources(config, deps.metrics);
  const source = (entry: Entry, key: string): CredentialSource => {
    if (entry.kind === "static") return staticSource(entry);
    if (entry.kind === "none") return noneSource();
    if (entry.kind === "exchange") return exchanges.source(entry, key);
    throw new Error(`${key}: the kind ${entry.kind} is not supported by this version; use exchange, static or none`);
  };
  return {
    chains: new Map(
      Object.entries(config.servers).map(([name, server]) => [
        name,
        server.credential.map((entry, i) => source(entry, `servers.${name}.credential[${i}]`)),
      ]),
    ),
    close: async () => exchanges.close(),
  };
}
