// The credential kind `vault` with `dynamic`: a secret that an engine makes for this caller, with a lease. I/O through the leases.
import type { Identity } from "../../authz/types.ts";
import { cacheKey } from "../lookup-cache.ts";
import type { CredentialSource, Lookup } from "../source.ts";
import type { Leases } from "./leases.ts";
import { fillPath } from "./path.ts";
import { credentialOf, fixedKey, NO_PATH, type EntryRead, type VaultEntry } from "./source.ts";

export interface LeasedSourceDeps {
  /** Address and namespace of the Vault. */
  readonly vaultId: string;
  readonly leases: Pick<Leases, "get">;
  readonly aliasOf: (issuer: string) => string | null;
  readonly onRead: (entry: VaultEntry, read: EntryRead) => void;
}

/**
 * Makes the source of each caller's own dynamic secret for one server. Callers never share one, also where their paths are one:
 * a role of an engine makes another secret each time.
 * @param idleMs milliseconds without use after which it is revoked
 */
export function leasedSource(entry: VaultEntry, idleMs: number, deps: LeasedSourceDeps): CredentialSource {
  const { server, mount, field, more = [] } = entry;
  const fixed = fixedKey(entry, deps.vaultId);
  const fields: readonly [string, ...string[]] = [field, ...more.map((one) => one.field)];
  const onRead = (outcome: "ok" | "unavailable", detail: string, ms: number) =>
    deps.onRead(entry, { outcome, detail, ms });
  return {
    kind: "vault",
    get(identity: Identity, signal, refused): Lookup | Promise<Lookup> {
      const { issuer, subject, username, claims } = identity;
      const issuerAlias = deps.aliasOf(issuer);
      const filled = fillPath(entry.path, { username, subject, claims, issuerAlias, server, host: entry.host });
      if (filled === null) return NO_PATH;
      const path = `${mount}/${filled}`;
      const key = `${fixed}${cacheKey("dynamic", issuer, subject, path)}`;
      const made = ([value = "", ...others]: readonly string[]) => ({
        ...credentialOf(entry, value, others),
        origin: { path },
      });
      const request = { key, identity, server, path, fields, credentialOf: made, idleMs, refused, onRead };
      return deps.leases.get(request, signal);
    },
  };
}
