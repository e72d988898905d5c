// Composes the sources that ask token endpoints from the configuration. I/O through the token endpoints.
import { issuerAliases } from "../../config/callers.ts";
import type { Config } from "../../config/load.ts";
import { createLookupCache, type LookupCache } from "../../credential/lookup-cache.ts";
import { clientCredentialsSource } from "../../credential/client-credentials.ts";
import { createActor, type Actor } from "../../credential/exchange/actor.ts";
import { exchangeSource } from "../../credential/exchange/source.ts";
import { createTokenEndpoint, type TokenEndpoint } from "../../credential/exchange/token-endpoint.ts";
import type { CredentialSource } from "../../credential/source.ts";
import type { Log } from "../../ops/log.ts";
import type { Metrics } from "../../ops/metrics/serve.ts";
import { readCaFile } from "../../files/ca.ts";

type CredentialConfig = Config["servers"][string]["credential"][number];
type ExchangeConfig = Extract<CredentialConfig, { kind: "exchange" }>;
type ClientCredentialsConfig = Extract<CredentialConfig, { kind: "client_credentials" }>;

export interface ExchangeSources {
  /** @param key key of the entry in the file, such as `servers.github.credential[0]` */
  source(entry: ExchangeConfig | ClientCredentialsConfig, key: string): CredentialSource;
  /** Fetches the gateway's own tokens for delegation. Resolves after the first attempt, successful or not. */
  start(): Promise<void>;
  readonly purge: LookupCache["purge"];
  close(): void;
}

/** Makes one cache for all exchanges, and one client per token endpoint, whose `Retry-After` holds for every server. */
export function createExchangeSources(
  { negativeTtlMs, identity, servers }: Config,
  { log, metrics }: { log: Pick<Log, "error">; metrics: Pick<Metrics, "cache" | "exchange"> },
): ExchangeSources {
  const actors: Actor[] = [];
  const cache = createLookupCache({ count: (result) => metrics.cache("credential", result) });
  const endpoints = new Map<string, TokenEndpoint>();
  const aliases = issuerAliases({ identity, servers });
  const aliasOf = (issuer: string) => aliases.get(issuer) ?? null;
  const endpointOf = (entry: ExchangeConfig | ClientCredentialsConfig, key: string): TokenEndpoint => {
    const { kind, tokenEndpoint: url, caFile } = entry;
    const id = JSON.stringify([url, caFile]);
    const made = endpoints.get(id) ?? createTokenEndpoint({ url, ca: readCaFile(`${key}.${kind}.caFile`, caFile) });
    endpoints.set(id, made);
    return made;
  };
  return {
    source(entry, key) {
      const endpoint = endpointOf(entry, key);
      const deps = { endpoint, cache, now: Date.now, aliasOf, onOutcome: metrics.exchange };
      const options = { entry: key, negativeTtlMs };
      if (entry.kind === "client_credentials")
        return clientCredentialsSource({ ...entry, ...options }, { ...deps, monotonic: () => performance.now() });
      if (entry.mode === "impersonation") return exchangeSource({ ...entry, ...options }, deps);
      const actor = createActor({ ...entry, endpoint, now: Date.now, onResult: actorReport(key, log) });
      actors.push(actor);
      return exchangeSource({ ...entry, ...options }, { ...deps, actor });
    },
    async start() {
      await Promise.all(actors.map((actor) => actor.get()));
    },
    purge: cache.purge,
    close() {
      for (const endpoint of endpoints.values()) endpoint.close();
    },
  };
}

/** Logs once when the gateway's own token cannot be had, and again only after it could be had. */
function actorReport(key: string, log: Pick<Log, "error">): (fault: string | null) => void {
  let isFailing = false;
  return (fault) => {
    if (fault !== null && !isFailing) {
      const message = "no token of the gateway's own, to act for callers: calls that need it are refused with 503";
      log.error("exchange_actor_missing", { key: `${key}.exchange.mode`, message, reason: fault });
    }
    isFailing = fault !== null;
  };
}
