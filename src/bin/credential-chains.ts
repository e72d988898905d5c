import { readFileSync } from "node:fs";
import type { Config } from "../config.ts";
import type { CredentialConfig } from "../config-schema.ts";
import { createAnswerCache } from "../credential/answer-cache.ts";
import { exchangeSource } from "../credential/exchange/source.ts";
import { createTokenEndpoint, type TokenEndpoint } from "../credential/exchange/token-endpoint.ts";
import { noneSource } from "../credential/none.ts";
import type { CredentialSource } from "../credential/source.ts";
import { staticSource } from "../credential/static.ts";
import type { Metrics } from "../ops/metrics.ts";

export interface CredentialChains {
  readonly chains: ReadonlyMap<string, readonly CredentialSource[]>;
  close(): void;
}

type ExchangeConfig = Extract<CredentialConfig, { kind: "exchange" }>;

/** The kinds of credential, one row each. @throws {Error} that names the key at fault */
export function credentialChains(config: Config, metrics: Pick<Metrics, "cache" | "exchange">): CredentialChains {
  const exchanges = createExchanges(config, metrics);
  const source = (entry: CredentialConfig, key: string): CredentialSource => {
    if (entry.kind === "static") return staticSource(entry);
    if (entry.kind === "none") return noneSource();
    if (entry.kind === "exchange") return exchanges.source(entry, key);
    throw new Error(`${key}: the kind ${entry.kind} is not supported by this version; use exchange, static or none`);
  };
  const chains = Object.entries(config.servers).map(
    ([name, server]) =>
      [name, server.credential.map((entry, i) => source(entry, `servers.${name}.credential[${i}]`))] as const,
  );
  return { chains: new Map(chains), close: exchanges.close };
}

/** One cache for all, and one client per token endpoint: when it asks us to wait, all servers wait. */
function createExchanges({ negativeTtlMs }: Config, metrics: Pick<Metrics, "cache" | "exchange">) {
  const cache = createAnswerCache({ count: (result) => metrics.cache("credential", result) });
  const endpoints = new Map<string, TokenEndpoint>();
  const endpointOf = ({ tokenEndpoint: url, caFile }: ExchangeConfig, key: string): TokenEndpoint => {
    const id = JSON.stringify([url, caFile]);
    const made = endpoints.get(id) ?? createTokenEndpoint({ url, ca: readCa(caFile, key) });
    endpoints.set(id, made);
    return made;
  };
  return {
    source(entry: ExchangeConfig, key: string): CredentialSource {
      const deps = { endpoint: endpointOf(entry, key), cache, now: Date.now, onOutcome: metrics.exchange };
      return exchangeSource({ ...entry, entry: key, negativeTtlMs }, deps);
    },
    close() {
      for (const endpoint of endpoints.values()) endpoint.close();
    },
  };
}

function readCa(file: string | null, key: string): Buffer | null {
  if (file === null) return null;
  try {
    return readFileSync(file);
  } catch {
    throw new Error(`${key}.exchange.caFile: ${file} cannot be read`);
  }
}
