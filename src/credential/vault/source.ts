// The credential kind `vault`: the caller's own entry in a KV version 2 engine. I/O through the read function.
import type { Identity } from "../../authz/types.ts";
import { cacheKey, type LookupCache, type CacheEntry } from "../lookup-cache.ts";
import type { Lookup, CredentialSource } from "../source.ts";
import { headerValue, type Placement } from "../static.ts";
import type { Entry, EntryResult } from "./entry.ts";
import { tokenDigest, type EntryPlace } from "./caller-sessions.ts";
import { fillPath, type PathTemplate } from "./path.ts";

/** The place of one server's credentials, and the header in which they are sent. */
export interface VaultEntry {
  readonly server: string;
  /** The server's host name in lower case, without port. */
  readonly host: string;
  readonly mount: string;
  readonly path: PathTemplate;
  readonly field: string;
  /** Further headers, of other fields of the entry. */
  readonly more?: readonly (Placement & { readonly field: string })[];
  /** True: the Vault is asked with a token that the caller's own got there. */
  readonly asCaller?: boolean;
  /** For an engine that makes secrets with a lease; null or absent for KV version 2. */
  readonly dynamic?: { readonly idleMs: number } | null;
  /** True if the entry's `custom_metadata` must name the caller as its owner. */
  readonly requireOwner: boolean;
  readonly header: string;
  readonly scheme: string;
}

/** One read of an entry, for logs and metrics. */
export interface EntryRead {
  /** A closed set, for metrics. */
  readonly outcome: "ok" | "none" | "unavailable" | "not_owner";
  /** The reason in words of this program. */
  readonly detail: string;
  readonly ms: number;
}

export interface VaultSourceDeps {
  /** Address and namespace of the Vault. */
  readonly vaultId: string;
  readonly read: (place: EntryPlace, fields: readonly [string, ...string[]], caller: Identity) => Promise<EntryResult>;
  readonly cache: LookupCache;
  readonly cacheTtlMs: number;
  /** Milliseconds for which *has none* is cached. */
  readonly negativeTtlMs: number;
  readonly aliasOf: (issuer: string) => string | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** 0 to 1. */
  readonly random: () => number;
  readonly onRead: (entry: VaultEntry, read: EntryRead) => void;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
}

export const NO_PATH: Lookup = { refused: "a name of this caller cannot be part of a path, or is not in the token" };
const NOT_OWNER: Lookup = { refused: "the entry does not say that it is this caller's" };

/**
 * Makes the source of each caller's own credential for one server. It is cached by verified issuer and subject and may outlive
 * the caller's token: it is no part of that token, and it is only used after a token was verified in the same Check.
 */
export function vaultSource(entry: VaultEntry, deps: VaultSourceDeps): CredentialSource {
  const { server, mount, field, requireOwner, more = [], asCaller = false } = entry;
  const fixed = fixedKey(entry, deps.vaultId);

  async function ask(caller: Identity, path: string): Promise<CacheEntry> {
    const { issuer, subject } = caller;
    const startedAt = deps.monotonic();
    const result = await deps.read({ mount, path }, [field, ...more.map((one) => one.field)], caller);
    const report = (outcome: EntryRead["outcome"], detail: string) =>
      deps.onRead(entry, { outcome, detail, ms: deps.monotonic() - startedAt });
    if ("cannotTell" in result) {
      report("unavailable", result.cannotTell);
      return { lookup: { cannotTell: result.cannotTell }, ttlMs: 0 };
    }
    if ("refused" in result) {
      report("unavailable", result.refused);
      return { lookup: { refused: result.refused }, ttlMs: deps.negativeTtlMs };
    }
    if ("none" in result) {
      report("none", result.none);
      return { lookup: { hasNone: result.none }, ttlMs: deps.negativeTtlMs };
    }
    const { value, version, owner, more: values } = result.found;
    if (requireOwner && (owner.issuer !== issuer || owner.subject !== subject)) {
      report("not_owner", "custom_metadata.owner_iss and owner_sub are not the caller's");
      return { lookup: NOT_OWNER, ttlMs: deps.negativeTtlMs };
    }
    report("ok", "");
    const found = { ...credentialOf(entry, value, values), origin: { path: `${mount}/${path}`, version } };
    return { lookup: { found }, ttlMs: lifeOf(result.found, deps) };
  }

  return {
    kind: "vault",
    get(identity, signal, refused) {
      const { issuer, subject, username, claims } = identity;
      const issuerAlias = deps.aliasOf(issuer);
      const path = fillPath(entry.path, { username, subject, claims, issuerAlias, server, host: entry.host });
      if (path === null) return NO_PATH;
      const key = `${fixed}${cacheKey(issuer, subject, path, asCaller ? tokenDigest(identity) : null)}`;
      return deps.cache.get({ key, identity, ask: () => ask(identity, path), refused }, signal);
    },
  };
}

/** What all look-ups of an entry have in common. Two JSON arrays in a row are injective too. */
export function fixedKey(entry: VaultEntry, vaultId: string): string {
  const { server, mount, field, requireOwner, header, scheme, more = [], asCaller = false } = entry;
  const parts = [server, mount, field, String(requireOwner), header, scheme, JSON.stringify(more), String(asCaller)];
  return cacheKey("vault", vaultId, ...parts);
}

/** @param values those of the further headers, in their order */
export function credentialOf({ header, scheme, more = [] }: VaultEntry, value: string, values: readonly string[]) {
  const others = more.map((one, i) => ({ header: one.header, value: headerValue(one.scheme, values[i] ?? "") }));
  const main = { kind: "vault" as const, header, value: headerValue(scheme, value) };
  return others.length > 0 ? { ...main, more: others } : main;
}

/** The TTL with 10 % of jitter either way, so that entries of the same time do not expire together (threat model: D20). */
function lifeOf({ endsAt }: Entry, { cacheTtlMs, random, now }: VaultSourceDeps): number {
  const ttlMs = cacheTtlMs * (0.9 + 0.2 * random());
  return endsAt === null ? ttlMs : Math.min(ttlMs, endsAt - now());
}
