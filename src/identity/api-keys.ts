// Callers with a key of the configuration: API keys, static tokens, and passwords of machines. Pure; time is passed in.
import { hash, timingSafeEqual } from "node:crypto";
import { refuse, pass, type Step } from "../authz/step.ts";
import { API_KEY_ISSUER } from "../authz/own-issuers.ts";
import type { KeyToIdentify } from "../authz/ports.ts";
import type { TokenlessIdentity } from "../authz/types.ts";
import type { JsonObject } from "../json/types.ts";
import type { RevocationMatch } from "./revocations.ts";

/** A key of the configuration. The key itself is nowhere: only its digest is. */
export interface ApiKey {
  readonly name: string;
  /** SHA-256 of the key in hex; two while the key is replaced. */
  readonly sha256: readonly string[];
  /** The header that carries it; null for none. */
  readonly header: string | null;
  readonly bearer: boolean;
  readonly basic: boolean;
  /** Seconds since the epoch; null for a key without an end. */
  readonly expiresAt: number | null;
  readonly opens: ReadonlySet<string>;
  readonly kind: "user" | "machine";
  readonly username: string | null;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  readonly claims: JsonObject;
}

export interface ApiKeyDeps {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly revoked?: ((identity: TokenlessIdentity) => RevocationMatch | null) | undefined;
}

/** Characters of 128 bits in base64: shorter keys were made by hand, and are never taken. */
export const MIN_KEY = 22;
const HOUR = 3600;

interface Entry {
  readonly key: ApiKey;
  readonly digests: readonly Buffer[];
  /** The same object for an hour, so that what is made of it can be cached. */
  identity: TokenlessIdentity | null;
}

/**
 * Makes the function that identifies a key: null for a bearer text that is no key, which may be an access token. Every digest
 * is compared, each in constant time, so that the answer's time tells nothing of a digest or a key's place.
 */
export function createApiKeys(keys: readonly ApiKey[], deps: ApiKeyDeps) {
  const entries = keys.map((key): Entry => {
    const digests = key.sha256.map((hex) => Buffer.from(hex, "hex"));
    return { key, digests, identity: null };
  });
  return (presented: KeyToIdentify): Step<TokenlessIdentity> | null => {
    const entry = find(entries, presented.key);
    const isAccepted = entry !== null && accepts(entry.key, presented);
    if (isAccepted) return judge(entry, deps);
    return presented.by === "bearer" ? null : refuse("token_invalid", "the key is unknown");
  };
}

function find(entries: readonly Entry[], text: string): Entry | null {
  const digest = hash("sha256", text, "buffer");
  let found: Entry | null = null;
  for (const entry of entries)
    for (const known of entry.digests)
      if (known.length === digest.length && timingSafeEqual(known, digest)) found = entry;
  return text.length < MIN_KEY ? null : found;
}

/** True if the key may be sent in this way. */
function accepts(key: ApiKey, presented: KeyToIdentify): boolean {
  if (presented.by === "bearer") return key.bearer;
  if (presented.by === "basic") return key.basic && presented.name === key.name;
  return key.header === presented.header;
}

function judge(entry: Entry, { now, revoked }: ApiKeyDeps): Step<TokenlessIdentity> {
  const seconds = Math.floor(now() / 1000);
  const { expiresAt } = entry.key;
  const identity = currentIdentity(entry, seconds);
  if (expiresAt !== null && expiresAt <= seconds) return { ...refuse("token_expired"), caller: identity };
  const by = revoked?.(identity) ?? null;
  if (by === "unavailable") return { ...refuse("revocations_unavailable", "the revocation file"), caller: identity };
  return by === null ? pass(identity) : { ...refuse("token_revoked", `by ${by}`), caller: identity };
}

/** What is made for the caller, such as a stream, ends with the second hour from now at the latest. */
function currentIdentity(entry: Entry, seconds: number): TokenlessIdentity {
  const { key } = entry;
  const expiresAt = Math.min((Math.floor(seconds / HOUR) + 2) * HOUR, key.expiresAt ?? Infinity);
  if (entry.identity?.expiresAt !== expiresAt) entry.identity = identityOf(key, expiresAt);
  return entry.identity;
}

function identityOf(
  { name, username, groups, scopes, kind, claims, opens }: ApiKey,
  expiresAt: number,
): TokenlessIdentity {
  return {
    method: "api_key",
    ...{ issuer: API_KEY_ISSUER, subject: name, username, groups, scopes, claims, kind },
    ...{ amr: [], acr: null, authTime: null, actors: [] },
    expiresAt,
    opens,
  };
}
