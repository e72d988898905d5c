// Our side of a Vault for tests: the real adapter with what it told its log and metrics, and identities to ask for.
import type { Identity, TokenIdentity } from "../../src/authz/types.ts";
import { Secret } from "../../src/secret/secret.ts";
import { createLookupCache } from "../../src/credential/lookup-cache.ts";
import type { Lookup, CredentialSource } from "../../src/credential/source.ts";
import { parsePath } from "../../src/credential/vault/path.ts";
import type { VaultEntry } from "../../src/credential/vault/source.ts";
import { createVault, type Vault, type VaultDeps, type VaultSettings } from "../../src/credential/vault/vault.ts";
import { ALICE } from "./authz.ts";

export interface OpenVault {
  readonly vault: Vault;
  /** Everything that went to the log and the metrics. */
  readonly told: { readonly event: string; readonly fields: unknown }[];
  /** A source for `{username}/{host}` in `secret` at `api.github.com`, unless said otherwise. */
  source(entry?: Omit<Partial<VaultEntry>, "path"> & { path?: string }): CredentialSource;
}

export interface Account {
  readonly address: string;
  readonly roleId: string;
  readonly secretId: string;
}

/** @param deps a clock that stands still, for example */
export function openVault(
  { address, roleId, secretId }: Account,
  settings: Partial<VaultSettings> = {},
  deps: Partial<VaultDeps> = {},
): OpenVault {
  const told: OpenVault["told"] = [];
  const tell = (event: string) => (fields: unknown, more?: unknown) =>
    void told.push({ event, fields: [fields, more] });
  const log = (level: string) => (event: string, fields: unknown) =>
    void told.push({ event: `${level} ${event}`, fields });
  const vault = createVault(
    {
      address,
      auth: { approle: { mount: "approle", roleId: new Secret(roleId), secretId: new Secret(secretId) } },
      namespace: null,
      ca: null,
      timeoutMs: 5000, // a busy machine is no fault; tests of slow Vaults say less
      cacheTtlMs: 60_000,
      negativeTtlMs: 5000,
      aliasOf: () => "acme",
      ...settings,
    },
    {
      cache: createLookupCache(),
      log: { info: log("info"), warn: log("warn"), error: log("error") },
      metrics: { vaultRead: tell("read"), vaultLogin: tell("login"), vaultLease: tell("lease") },
      ...deps,
    },
  );
  return {
    vault,
    told,
    source({ path = "{username}/{host}", ...entry } = {}) {
      const template = parsePath(path);
      if (typeof template === "string") throw new Error(template);
      return vault.source({
        server: "github",
        host: "api.github.com",
        mount: "secret",
        field: "token",
        requireOwner: false,
        header: "authorization",
        scheme: "Bearer",
        ...entry,
        path: template,
      });
    },
  };
}

export function person(username: string, more: Partial<TokenIdentity> = {}): TokenIdentity {
  return { ...ALICE, username, subject: `${username}-sub`, ...more };
}

/** What a source says, as one word and a detail; the header's value for *found*. */
export async function ask(source: CredentialSource, identity: Identity, timeoutMs = 10_000): Promise<[string, string]> {
  return shown(await source.get(identity, AbortSignal.timeout(timeoutMs)));
}

export function shown(answer: Lookup): [string, string] {
  if ("found" in answer) return ["found", answer.found.value?.reveal() ?? ""];
  const [entry] = Object.entries(answer);
  return entry ?? ["", ""];
}
