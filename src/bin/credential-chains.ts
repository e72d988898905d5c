import { readFileSync } from "node:fs";
import { hostOf } from "../config-rules-vault.ts";
import type { Config } from "../config.ts";
import { createAnswerCache } from "../credential/answer-cache.ts";
import { noneSource } from "../credential/none.ts";
import type { CredentialSource } from "../credential/source.ts";
import { staticSource } from "../credential/static.ts";
import { parsePath } from "../credential/vault/path.ts";
import { createVault, type Vault } from "../credential/vault/vault.ts";
import type { Log } from "../ops/log.ts";
import type { Metrics } from "../ops/metrics.ts";

/** The chains of all servers, and what is behind them. */
export interface CredentialChains {
  readonly chains: ReadonlyMap<string, readonly CredentialSource[]>;
  /** Opens what the sources need. Resolves after the first try, well or not; what is away is tried again. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export interface CredentialDeps {
  readonly log: Log;
  readonly metrics: Metrics;
}

type Entry = Config["servers"][string]["credential"][number];

/** The kinds of credential, one row each. @throws {Error} that names the key at fault */
export function credentialChains(config: Config, deps: CredentialDeps): CredentialChains {
  const vault = vaultOf(config, deps);
  const source = (entry: Entry, server: string, key: string): CredentialSource => {
    if (entry.kind === "static") return staticSource(entry);
    if (entry.kind === "none") return noneSource();
    if (entry.kind === "vault") return vaultEntry(vault, config, entry, server);
    throw new Error(`${key}: the kind ${entry.kind} is not supported by this version; use static, none or vault`);
  };
  return {
    chains: new Map(
      Object.entries(config.servers).map(([name, server]) => [
        name,
        server.credential.map((entry, i) => source(entry, name, `servers.${name}.credential[${i}]`)),
      ]),
    ),
    start: async () => vault?.start(),
    close: async () => vault?.close(),
  };
}

/** Null when nobody needs it: a Vault that is configured only is not logged in to. */
function vaultOf(config: Config, { log, metrics }: CredentialDeps): Vault | null {
  const used = Object.values(config.servers).some(({ credential }) => credential.some(({ kind }) => kind === "vault"));
  if (!used || config.vault === null) return null;
  const { address, namespace, caFile, timeoutMs, cacheTtlMs } = config.vault;
  const { approle, token } = config.vault.auth;
  const auth = approle === undefined ? token && { token } : { approle };
  if (auth === undefined) throw new Error("vault.auth: must name approle or token");
  const aliases = new Map(config.identity.issuers.map(({ issuer, alias }) => [issuer, alias]));
  return createVault(
    {
      ...{ address, auth, namespace, timeoutMs, cacheTtlMs, negativeTtlMs: config.negativeTtlMs },
      ca: caFile === null ? null : readCa(caFile),
      aliasOf: (issuer) => aliases.get(issuer) ?? null,
    },
    { cache: createAnswerCache({ count: (result) => metrics.cache("credential", result) }), log, metrics },
  );
}

function vaultEntry(
  vault: Vault | null,
  config: Config,
  entry: Extract<Entry, { kind: "vault" }>,
  server: string,
): CredentialSource {
  const path = parsePath(entry.path);
  if (vault === null || typeof path === "string") throw new Error(`servers.${server}.credential: vault is not set up`);
  const host = hostOf(config.servers[server]?.url ?? "");
  const { mount, field, requireOwner, header, scheme } = entry;
  return vault.source({ server, host, mount, path, field, requireOwner, header, scheme });
}

function readCa(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch {
    throw new Error(`vault.caFile: ${file} cannot be read`);
  }
}
