// A cache of verified tokens, bounded in bytes. Pure; time comes from the clock that is passed in.
import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { TokenIdentity } from "../authz/types.ts";
import type { JsonValue } from "../json/types.ts";
import type { CheckedClaims } from "./claims.ts";
import type { VerificationKey } from "../jose/key-set.ts";

/** A verified token, with the claims for the checks at each use. */
export interface VerifiedToken {
  readonly identity: TokenIdentity;
  readonly claims: CheckedClaims;
  readonly key: VerificationKey;
}

export interface TokenCache {
  get(token: string): VerifiedToken | undefined;
  /** @param livesMs remaining lifetime of the token in milliseconds */
  put(token: string, verified: VerifiedToken, livesMs: number): void;
  drop(token: string): void;
  stats(): { readonly entries: number; readonly bytes: number };
}

export interface TokenCacheOptions {
  readonly maxBytes: number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
}

/** Interval between two purges of expired tokens, when there is no room. */
const PURGE_MS = 1000;

/**
 * Makes the cache. The key is the SHA-256 of the whole token, signature included: two spellings are two entries, and no part of
 * an unverified token is a key. Without room, expired tokens are evicted first, then the least recently used ones. An
 * expired token stays until then, so that refusing it again costs no signature.
 */
export function createTokenCache({ maxBytes, monotonic }: TokenCacheOptions): TokenCache {
  const tokens = new LRUCache<string, VerifiedToken>({
    maxSize: maxBytes,
    allowStale: true,
    noDeleteOnStaleGet: true,
    ttlResolution: 0,
    perf: { now: monotonic },
  });
  const keyOf = (token: string) => hash("sha256", token, "base64url");
  let purgedAt = -Infinity;

  return {
    get: (token) => tokens.get(keyOf(token)),
    put(token, verified, livesMs) {
      const size = weightOf(token, verified);
      if (tokens.calculatedSize + size > maxBytes && monotonic() - purgedAt >= PURGE_MS) {
        purgedAt = monotonic();
        tokens.purgeStale();
      }
      tokens.set(keyOf(token), verified, { size, ttl: Math.max(1, Math.floor(livesMs)) });
    },
    drop: (token) => void tokens.delete(keyOf(token)),
    stats: () => ({ entries: tokens.size, bytes: tokens.calculatedSize }),
  };
}

/** Factor for the free part of a full heap: V8 collects garbage when the heap has grown by about this share. */
const HEAP_SLACK = 1.5;
/** The entry itself: key, digests of revocation marks, the objects of the identity. */
const ENTRY_BYTES = 1000;
/** A member of an object: slot, name, and V8's hidden class, which a new order of names adds. */
const MEMBER_BYTES = 160;

/**
 * Estimates the memory of a cached token in bytes: text, claims as objects, scopes, and the caller's part of the policy input,
 * which is cached as JSON. Calibrated by the growth of the process with tokens of many forms.
 */
export function weightOf(
  token: string,
  { identity: { claims, groups, scopes } }: Pick<VerifiedToken, "identity">,
): number {
  const input = JSON.stringify([claims, groups, scopes]);
  const bytesPerCharacter = /[\u0100-\uffff]/.test(input) ? 2 : 1;
  const objects = weightOfValue(claims) + weightOfValue(scopes);
  return Math.ceil(HEAP_SLACK * (ENTRY_BYTES + token.length + bytesPerCharacter * (input.length + objects)));
}

/** Estimates a value by V8's layouts: a string's header, a slot of 8 bytes for each element. */
function weightOfValue(value: JsonValue): number {
  if (typeof value === "string") return 24 + value.length;
  if (typeof value !== "object" || value === null) return 0;
  let weight = 48;
  if (Array.isArray(value)) for (const item of value as readonly JsonValue[]) weight += 8 + weightOfValue(item);
  else for (const [name, item] of Object.entries(value)) weight += MEMBER_BYTES + name.length + weightOfValue(item);
  return weight;
}
