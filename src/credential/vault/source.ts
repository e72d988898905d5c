import type { Identity } from "../../authz/types.ts";
import { cacheKey, type AnswerCache, type Kept } from "../answer-cache.ts";
import type { Answer, CredentialSource } from "../source.ts";
import { headerValue } from "../static.ts";
import type { Entry, Reading } from "./entry.ts";
import { fillPath, type PathTemplate } from "./path.ts";

/** Where one server's credentials are, and how they are sent. */
export interface VaultEntry {
  readonly server: string;
  /** The server's host name in lower case, without port. */
  readonly host: string;
  readonly mount: string;
  readonly path: PathTemplate;
  readonly field: string;
  /** Whether the entry must say that it is this caller's. */
  readonly requireOwner: boolean;
  readonly header: string;
  readonly scheme: string;
}

/** How a look-up ended. */
export interface LookUp {
  /** A closed set, for metrics. */
  readonly outcome: "ok" | "none" | "unavailable" | "not_owner";
  /** In our words. */
  readonly detail: string;
  readonly ms: number;
}

export interface VaultSourceDeps {
  /** Of the Vault: address and namespace. */
  readonly vaultId: string;
  readonly read: (mount: string, path: string, field: string) => Promise<Reading>;
  readonly cache: AnswerCache;
  readonly cacheTtlMs: number;
  /** How long *has none* is remembered. */
  readonly negativeTtlMs: number;
  readonly aliasOf: (issuer: string) => string | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** 0 to 1. */
  readonly random: () => number;
  readonly onLookUp: (entry: VaultEntry, lookUp: LookUp) => void;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
}

const NO_PATH: Answer = { refused: "a name of this caller cannot be part of a path, or is not in the token" };
const NOT_OWNER: Answer = { refused: "the entry does not say that it is this caller's" };

/**
 * Each caller's own credential for one server. It is kept by the verified issuer and subject and does not end with the
 * caller's token: it is no part of that token, and nobody gets it without a token verified in the same Check.
 */
export function vaultSource(entry: VaultEntry, deps: VaultSourceDeps): CredentialSource {
  const { server, mount, field, requireOwner, header, scheme } = entry;
  // Two JSON arrays in a row are still one text per tuple.
  const fixed = cacheKey("vault", deps.vaultId, server, mount, field, String(requireOwner), header, scheme);

  async function ask({ issuer, subject }: Identity, path: string): Promise<Kept> {
    const startedAt = deps.monotonic();
    const reading = await deps.read(mount, path, field);
    const told = (outcome: LookUp["outcome"], detail: string) =>
      deps.onLookUp(entry, { outcome, detail, ms: deps.monotonic() - startedAt });
    if ("cannotTell" in reading) {
      told("unavailable", reading.cannotTell);
      return { answer: { cannotTell: reading.cannotTell }, ttlMs: 0 };
    }
    if ("none" in reading) {
      told("none", reading.none);
      return { answer: { hasNone: reading.none }, ttlMs: deps.negativeTtlMs };
    }
    const { value, version, owner } = reading.found;
    if (requireOwner && (owner.issuer !== issuer || owner.subject !== subject)) {
      told("not_owner", "custom_metadata.owner_iss and owner_sub are not the caller's");
      return { answer: NOT_OWNER, ttlMs: deps.negativeTtlMs };
    }
    told("ok", "");
    const origin = { path: `${mount}/${path}`, version };
    const found = { kind: "vault" as const, header, value: headerValue(scheme, value), origin };
    return { answer: { found }, ttlMs: lifeOf(reading.found, deps) };
  }

  return {
    kind: "vault",
    get(identity, signal) {
      const { issuer, subject, username } = identity;
      const issuerAlias = deps.aliasOf(issuer);
      const path = fillPath(entry.path, { username, subject, issuerAlias, server, host: entry.host });
      if (path === null) return NO_PATH;
      const key = `${fixed}${cacheKey(issuer, subject, path)}`;
      return deps.cache.get({ key, identity, ask: () => ask(identity, path) }, signal);
    },
  };
}

/** A tenth of jitter either way, so that users who came together do not come back together (D20). */
function lifeOf({ endsAt }: Entry, { cacheTtlMs, random, now }: VaultSourceDeps): number {
  const ttlMs = cacheTtlMs * (0.9 + 0.2 * random());
  return endsAt === null ? ttlMs : Math.min(ttlMs, endsAt - now());
}
