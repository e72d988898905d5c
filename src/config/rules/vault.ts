// Rules of `vault`, and of credentials that it holds: whose they are, and what may stand in a path. Pure.
import { hostOf } from "../names.ts";
import { issuerAliases } from "../callers.ts";
import type { Reporter } from "../problem.ts";
import type { Config, CredentialConfig } from "../schema.ts";
import { canMeet, isSegment, ofServer, parsePath, uses, type PathTemplate } from "../../credential/vault/path.ts";

type VaultEntryConfig = Extract<CredentialConfig, { kind: "vault" }>;

/** Mounts of Vault itself, which hold no KV entries. */
const RESERVED_MOUNTS = new Set(["sys", "auth", "identity", "cubbyhole"]);
/** A token goes into a header: visible ASCII. */
const TOKEN = /^[\x21-\x7e]{1,4096}$/;

/** Rules of `vault` and of the credentials of its kind. */
export function checkVault(config: Config, reporter: Reporter): void {
  checkLogin(config, reporter);
  checkMeetings(config, reporter);
  for (const [name, server] of Object.entries(config.servers)) {
    server.credential.forEach((entry, i) => {
      if (entry.kind !== "vault") return;
      const key = `servers.${name}.credential[${i}].vault`;
      checkEntry(config, { ...entry, key, host: hostOf(server.url) }, reporter);
    });
  }
}

function checkLogin({ vault, checkTimeoutMs }: Config, { problem, warn }: Reporter): void {
  if (vault === null) return;
  if (vault.timeoutMs >= checkTimeoutMs) {
    warn("vault.timeoutMs", "is not below checkTimeoutMs: a slow Vault will end Checks by their deadline");
  }
  const { token } = vault.auth;
  if (token === undefined) return;
  warn("vault.auth.token", "a token that somebody made cannot be replaced when it ends: use approle where you can");
  if (!TOKEN.test(token.reveal())) problem("vault.auth.token", "is not a token: it must be visible ASCII");
}

type Entry = VaultEntryConfig & { readonly key: string; readonly host: string };

function checkEntry(config: Config, entry: Entry, reporter: Reporter): void {
  const { problem } = reporter;
  if (config.vault === null) problem(entry.key, "needs the key vault (address and auth) at the top of the file");
  if (entry.asCaller && config.vault?.callerLogin === null)
    problem(`${entry.key}.asCaller`, "needs vault.callerLogin: where callers log in with their own tokens");
  const [root = ""] = entry.mount.split("/");
  if (RESERVED_MOUNTS.has(root)) problem(`${entry.key}.mount`, `${root} belongs to the Vault itself`);
  if (entry.dynamic !== null) checkDynamic(entry, problem);
  const path = parsePath(entry.path);
  if (typeof path === "string") {
    problem(`${entry.key}.path`, path);
    return;
  }
  checkNames(config, { ...entry, path }, problem);
  if (entry.dynamic !== null) checkRole(config, { key: entry.key, path }, problem);
  else if (!entry.requireOwner) checkUnowned(config, { key: entry.key, path }, reporter);
}

function checkNames(
  config: Config,
  { key, host, path }: Pick<Entry, "key" | "host"> & { path: PathTemplate },
  problem: Reporter["problem"],
): void {
  if (uses(path, "host") && !isSegment(host)) {
    problem(`${key}.path`, `{host} would be "${host}", which cannot be part of a path: use {server}`);
  }
  if (uses(path, "issuerAlias")) requireAliases(config, key, problem);
}

function checkDynamic({ key, requireOwner, asCaller }: Entry, problem: Reporter["problem"]): void {
  if (requireOwner)
    problem(`${key}.requireOwner`, "is for entries of KV version 2: what an engine makes is its caller's");
  if (asCaller)
    problem(`${key}.asCaller`, "cannot be with dynamic: the lease would end with what the caller got there");
}

/** Whoever asks gets a secret of her own, so a path may be everybody's; one that names callers must tell them apart. */
function checkRole(
  config: Config,
  { key, path }: { key: string; path: PathTemplate },
  problem: Reporter["problem"],
): void {
  const namesCallers = uses(path, "username", "subject", "claim");
  if (namesCallers && issuerAliases(config).size > 1 && !uses(path, "issuerAlias")) {
    problem(key, "with several issuers the same name can be two people: use {issuerAlias} in the path");
  }
}

/** Two entries whose paths can be one: a caller with the right name would get what is another's, or everybody's. */
function checkMeetings({ servers }: Config, { problem }: Reporter): void {
  const entries = Object.entries(servers).flatMap(([server, { credential, url }]) =>
    credential.flatMap((entry, i) => {
      const path = entry.kind === "vault" ? parsePath(entry.path) : "";
      if (entry.kind !== "vault" || typeof path === "string") return [];
      const { requireOwner, dynamic } = entry;
      const key = `servers.${server}.credential[${i}].vault`;
      const own = ofServer(path, { server, host: hostOf(url) });
      return [{ key, requireOwner, dynamic, ...placeOf(entry, own) }];
    }),
  );
  entries.forEach((entry, i) => {
    if (entry.requireOwner) return;
    const other = entries.find(
      (one, j) => j !== i && one.mount === entry.mount && (j < i || one.requireOwner) && canMeet(entry.path, one.path),
    );
    if (other === undefined) return;
    const owned = entry.dynamic === null ? "say requireOwner: true, or " : "";
    problem(
      `${entry.key}.path`,
      `can be a path of ${other.key} too, for callers that the two name differently: ${owned}give one of them a segment or a mount of its own`,
    );
  });
}

/** Paths are compared in one mount. What an engine makes is asked for by mount and path in one, so another cut makes no other place. */
function placeOf({ mount, dynamic }: VaultEntryConfig, path: PathTemplate): { mount: string; path: PathTemplate } {
  if (dynamic === null) return { mount, path };
  return { mount: "", path: [...mount.split("/").map((literal) => ({ literal })), ...path] };
}

function requireAliases(config: Config, key: string, problem: Reporter["problem"]): void {
  config.identity.issuers.forEach(({ alias }, i) => {
    if (alias === null) problem(`identity.issuers[${i}].alias`, `is required, as ${key}.path uses {issuerAlias}`);
  });
}

/** Without `requireOwner` the path alone tells callers apart. */
function checkUnowned(
  config: Config,
  { key, path }: { key: string; path: PathTemplate },
  { problem, warn }: Reporter,
): void {
  if (issuerAliases(config).size > 1 && !uses(path, "issuerAlias")) {
    problem(
      key,
      "with several issuers the same username can be two people: say requireOwner: true or use {issuerAlias}",
    );
  }
  const names = uses(path, "username", "subject");
  if (!names && uses(path, "claim")) {
    warn(`${key}.path`, "names callers by a claim: all who have the same value get the same credential");
  } else if (!names) {
    warn(`${key}.path`, "names no caller: everybody gets the same credential; use {username} or {subject}");
  }
  if (uses(path, "username")) {
    warn(
      key,
      "{username} comes from a claim; where users can change it at the issuer, say requireOwner: true or use {subject}",
    );
  }
}
