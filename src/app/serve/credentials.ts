// Composes the credential chains of all servers from the configuration. I/O through the sources.
import { destinationOf } from "../../authz/destination.ts";
import type { Config } from "../../config/load.ts";
import type { Owner } from "../../credential/lookup-cache.ts";
import { issuerAliases } from "../../config/callers.ts";
import { headersOf } from "../../config/names.ts";
import { withCallerHeaders } from "../../credential/caller-headers.ts";
import { createChainWatch } from "../../credential/chain-watch.ts";
import { noneSource } from "../../credential/none.ts";
import type { CredentialSource } from "../../credential/source.ts";
import { staticSource } from "../../credential/static.ts";
import type { Log } from "../../ops/log.ts";
import type { Metrics } from "../../ops/metrics/serve.ts";
import type { SigningKey } from "../../wristband/keys.ts";
import { assertionSourceOf } from "./assertion.ts";
import { createExchangeSources } from "./exchange.ts";
import { createVaultSources } from "./vault.ts";

/** The chains of all servers, and the life of their sources. */
export interface CredentialChains {
  readonly chains: ReadonlyMap<string, readonly CredentialSource[]>;
  /** Starts the sources. Resolves after the first attempt, successful or not; failed ones are retried in the background. */
  start(): Promise<void>;
  /** Places of entries that have found nothing so far, while one behind them serves their callers. */
  neverFound(): readonly string[];
  /** Leases of dynamic secrets that are held now. */
  leases(): number;
  /** Drops the cached credentials of revoked callers at once (threat model: G18). */
  purge(isRevoked: (owner: Owner) => boolean): void;
  close(): Promise<void>;
}

export interface CredentialDeps {
  readonly log: Log;
  readonly metrics: Metrics;
  /** The current keys that sign assertions. */
  readonly assertionKeys: () => readonly SigningKey[];
}

type CredentialConfig = Config["servers"][string]["credential"][number];

/** Where the credentials of each server go. */
export function credentialDestinations({ servers }: Config): ReadonlyMap<string, string> {
  return new Map(Object.entries(servers).map(([name, { url }]) => [name, destinationOf(url)]));
}

/** Texts of the configuration for a caller who has no credential for a server, by server. */
export function credentialHelp({ servers }: Config): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(servers).flatMap(([name, { credentialHelp: text }]) => (text === null ? [] : [[name, text]])),
  );
}

function reportSilent(key: string, log: Log): void {
  const message =
    "has never found anything, and the next of the chain serves everybody: is its mount, path or issuer right?";
  log.warn("credential_never_found", { key, message });
}

/** Makes the chains; each credential kind has one row here. @throws {Error} that names the key at fault */
export function credentialChains(config: Config, deps: CredentialDeps): CredentialChains {
  const vault = createVaultSources(config, deps);
  const exchanges = createExchangeSources(config, deps);
  const source = (entry: CredentialConfig, server: string, key: string): CredentialSource => {
    if (entry.kind === "static") return staticSource(entry);
    if (entry.kind === "assertion") return assertionSourceOf(config, { ...entry, server }, deps.assertionKeys);
    if (entry.kind === "none") return noneSource();
    if (entry.kind === "vault") return vault.source(entry, server);
    return exchanges.source(entry, key); // exchange, client_credentials
  };
  const aliases = issuerAliases(config);
  const aliasOf = (issuer: string) => aliases.get(issuer) ?? null;
  const watch = createChainWatch((key) => reportSilent(key, deps.log));
  const chainOf = ([name, server]: [string, Config["servers"][string]]) => {
    const placed = server.credential.map((entry, i) => {
      const key = `servers.${name}.credential[${i}]`;
      return { key, source: source(entry, name, key) };
    });
    const chain = watch.watch(placed);
    return [name, chain.map((one) => withCallerHeaders(one, headersOf(server).ofCaller, aliasOf))] as const;
  };
  return {
    chains: new Map(Object.entries(config.servers).map(chainOf)),
    neverFound: watch.silent,
    leases: vault.leases,
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
