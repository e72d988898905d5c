// Composes the Vault and its sources from the configuration. I/O through the Vault.
import { hostOf } from "../../config/names.ts";
import { issuerAliases } from "../../config/callers.ts";
import type { Config } from "../../config/load.ts";
import { createLookupCache, type LookupCache } from "../../credential/lookup-cache.ts";
import type { CredentialSource } from "../../credential/source.ts";
import { parsePath } from "../../credential/vault/path.ts";
import type { VaultAuth } from "../../credential/vault/login.ts";
import { createVault, type Vault } from "../../credential/vault/vault.ts";
import type { Log } from "../../ops/log.ts";
import type { Metrics } from "../../ops/metrics/serve.ts";
import { readCaFile } from "../../files/ca.ts";

type VaultCredentialConfig = Extract<Config["servers"][string]["credential"][number], { kind: "vault" }>;

export interface VaultSources {
  source(entry: VaultCredentialConfig, server: string): CredentialSource;
  /** Leases of dynamic secrets that are held now. */
  leases(): number;
  start(): Promise<void>;
  readonly purge: LookupCache["purge"];
  close(): Promise<void>;
}

export interface VaultSourcesDeps {
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Makes one log-in for all servers. A Vault that no server uses gets no log-in. */
export function createVaultSources(config: Config, deps: VaultSourcesDeps): VaultSources {
  const used = Object.values(config.servers).some(({ credential }) => credential.some(({ kind }) => kind === "vault"));
  const cache = createLookupCache({ count: (result) => deps.metrics.cache("credential", result) });
  const vault = used ? vaultOf(config, cache, deps) : null;
  return {
    source(entry, server) {
      const path = parsePath(entry.path);
      if (vault === null || typeof path === "string")
        throw new Error(`servers.${server}.credential: vault is not set up`);
      const { mount, field, requireOwner, asCaller, header, scheme, more } = entry;
      const host = hostOf(config.servers[server]?.url ?? "");
      const dynamic = entry.dynamic && { idleMs: entry.dynamic.idleSeconds * 1000 };
      return vault.source({ server, host, mount, path, field, requireOwner, asCaller, header, scheme, more, dynamic });
    },
    purge(isRevoked) {
      cache.purge(isRevoked);
      vault?.purge(isRevoked);
    },
    leases: () => vault?.leases() ?? 0,
    start: async () => vault?.start(),
    close: async () => vault?.close(),
  };
}

function authOf({ approle, kubernetes, token }: NonNullable<Config["vault"]>["auth"]): VaultAuth {
  if (approle !== undefined) return { approle };
  if (kubernetes !== undefined) return { kubernetes };
  if (token !== undefined) return { token };
  throw new Error("vault.auth: must name approle, kubernetes or token");
}

function vaultOf(config: Config, cache: LookupCache, { log, metrics }: VaultSourcesDeps): Vault | null {
  if (config.vault === null) return null;
  const { address, callerLogin, namespace, caFile, timeoutMs, cacheTtlMs } = config.vault;
  const auth = authOf(config.vault.auth);
  const aliases = issuerAliases(config);
  return createVault(
    {
      ...{ address, auth, callerLogin, namespace, timeoutMs, cacheTtlMs, negativeTtlMs: config.negativeTtlMs },
      ca: readCaFile("vault.caFile", caFile),
      aliasOf: (issuer) => aliases.get(issuer) ?? null,
    },
    { cache, log, metrics },
  );
}
