import type { Config } from "../config.ts";
import { createAnswerCache } from "../credential/answer-cache.ts";
import { exchangeSource } from "../credential/exchange/source.ts";
import { createTokenEndpoint, type TokenEndpoint } from "../credential/exchange/token-endpoint.ts";
import type { CredentialSource } from "../credential/source.ts";
import type { Metrics } from "../ops/metrics.ts";
import { readCaFile } from "./ca-file.ts";

type Entry = Extract<Config["servers"][string]["credential"][number], { kind: "exchange" }>;

export interface ExchangeSources {
  /** @param key where the entry stands in the file, as `servers.github.credential[0]` */
  source(entry: Entry, key: string): CredentialSource;
  close(): void;
}

/** One cache for all exchanges, and one client per token endpoint: when it asks us to wait, every server waits. */
export function createExchangeSources(
  { negativeTtlMs }: Config,
  metrics: Pick<Metrics, "cache" | "exchange">,
): ExchangeSources {
  const cache = createAnswerCache({ count: (result) => metrics.cache("credential", result) });
  const endpoints = new Map<string, TokenEndpoint>();
  const endpointOf = ({ tokenEndpoint: url, caFile }: Entry, key: string): TokenEndpoint => {
    const id = JSON.stringify([url, caFile]);
    const made =
      endpoints.get(id) ??
      createTokenEndpoint({ url, ca: caFile === null ? null : readCaFile(`${key}.exchange.caFile`, caFile) });
    endpoints.set(id, made);
    return made;
  };
  return {
    source(entry, key) {
      const deps = { endpoint: endpointOf(entry, key), cache, now: Date.now, onOutcome: metrics.exchange };
      return exchangeSource({ ...entry, entry: key, negativeTtlMs }, deps);
    },
    close() {
      for (const endpoint of endpoints.values()) endpoint.close();
    },
  };
}
