import type { Say } from "./config-rules.ts";
import type { Config, CredentialConfig } from "./config-schema.ts";
import { isSegment, parsePath, uses, type PathTemplate } from "./credential/vault/path.ts";

type VaultEntryConfig = Extract<CredentialConfig, { kind: "vault" }>;

/** Mounts of a Vault's own, where a path of ours would mean something else. */
const RESERVED_MOUNTS = new Set(["sys", "auth", "identity", "cubbyhole"]);
/** What can be a header value and a line of a file. */
const TOKEN = /^[\x21-\x7e]{1,4096}$/;

/** Rules of `vault`, of `vault` credentials and of the issuers' aliases. */
export function checkVault(config: Config, problem: Say, warn: Say): void {
  checkAliases(config, problem);
  if (config.vault !== null) checkLogin(config.vault, config.checkTimeoutMs, problem, warn);
  for (const [name, server] of Object.entries(config.servers)) {
    server.credential.forEach((entry, i) => {
      if (entry.kind !== "vault") return;
      const key = `servers.${name}.credential[${i}].vault`;
      if (config.vault === null) problem(key, "needs the key vault (address and auth) at the top of the file");
      const [root = ""] = entry.mount.split("/");
      if (RESERVED_MOUNTS.has(root)) problem(`${key}.mount`, `${root} belongs to the Vault itself`);
      const path = parsePath(entry.path);
      if (typeof path === "string") problem(`${key}.path`, path);
      else checkPath(config, entry, { key, path, host: hostOf(server.url) }, problem, warn);
    });
  }
}

/** The host name that `{host}` stands for. */
export function hostOf(url: string): string {
  return URL.parse(url)?.hostname ?? "";
}

function checkAliases(config: Config, problem: Say): void {
  const seen = new Set<string>();
  config.identity.issuers.forEach(({ alias }, i) => {
    if (alias === null) return;
    if (seen.has(alias)) problem(`identity.issuers[${i}].alias`, "is another issuer's too: an alias stands for one");
    seen.add(alias);
  });
}

function checkLogin(vault: NonNullable<Config["vault"]>, checkTimeoutMs: number, problem: Say, warn: Say): void {
  if (vault.timeoutMs >= checkTimeoutMs) {
    warn("vault.timeoutMs", "is not below checkTimeoutMs: a slow Vault will end Checks by their deadline");
  }
  const { token } = vault.auth;
  if (token === undefined) return;
  warn("vault.auth.token", "a token that somebody made cannot be replaced when it ends: use approle where you can");
  if (!TOKEN.test(token.reveal())) problem("vault.auth.token", "is not a token: it must be visible ASCII");
}

interface PathFacts {
  readonly key: string;
  readonly path: PathTemplate;
  readonly host: string;
}

function checkPath(
  config: Config,
  { requireOwner }: VaultEntryConfig,
  { key, path, host }: PathFacts,
  problem: Say,
  warn: Say,
): void {
  if (uses(path, "host") && !isSegment(host)) {
    problem(`${key}.path`, `{host} would be "${host}", which cannot be part of a path: use {server}`);
  }
  const { issuers } = config.identity;
  if (uses(path, "issuerAlias")) {
    issuers.forEach(({ alias }, i) => {
      if (alias === null) problem(`identity.issuers[${i}].alias`, `is required, as ${key}.path uses {issuerAlias}`);
    });
  } else if (issuers.length > 1 && !requireOwner) {
    problem(
      key,
      "with several issuers the same username can be two people: say requireOwner: true or use {issuerAlias}",
    );
  }
  if (!uses(path, "username", "subject") && !requireOwner) {
    warn(`${key}.path`, "names no caller: everybody gets the same credential; use {username} or {subject}");
  }
  if (uses(path, "username") && !requireOwner) {
    warn(
      key,
      "{username} comes from a claim; where users can change it at the issuer, say requireOwner: true or use {subject}",
    );
  }
}
