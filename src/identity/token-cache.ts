// Verified tokens, as many as fit into so many bytes.
import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Identity } from "../authz/types.ts";
import type { JsonValue } from "../json/types.ts";
import type { CheckedClaims } from "./claims.ts";
import type { VerificationKey } from "../jose/key-set.ts";

/** A token that was verified, with what its audience and lifetime are judged by at each use. */
export interface VerifiedToken {
  readonly identity: Identity;
  readonly claims: CheckedClaims;
  readonly key: VerificationKey;
}

export interface TokenCache {
  get(token: string): VerifiedToken | undefined;
  /** @param livesMs how long the token is accepted from now on */
  put(token: string, verified: VerifiedToken, livesMs: number): void;
  drop(token: string): void;
  stats(): { readonly entries: number; readonly bytes: number };
}

export interface TokenCacheOptions {
  readonly maxBytes: number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
}

/** Between two searches for tokens whose life is over, when there is no room. */
const PURGE_MS = 1000;

/**
 * Verified tokens by the SHA-256 of the whole token, signature included: two spellings are two entries, and nothing read
 * before verification is ever a key (design 5.8). Without room those whose life is over leave first, then those that were
 * not used for longest. One that is over is kept until then: to refuse it again costs no signature.
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

/** What stays free in a heap that is used to the full: V8 collects when it has grown by about this share. */
const HEAP_SLACK = 1.5;
/** The entry itself: its key, its digests of revocation marks, the objects of the identity. */
const ENTRY_BYTES = 1000;
/** A member of an object: its entry, its name, and V8's hidden class for each name that comes in this order once. */
const MEMBER_BYTES = 160;

/**
 * What a token takes in memory, in bytes: its text, its claims as objects, its scopes, and the caller's part of the
 * policy's input, which is kept as JSON. Calibrated by the growth of the process with tokens of many forms.
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

/** By V8's layouts: a string's header, a slot of 8 bytes for each element. */
function weightOfValue(value: JsonValue): number {
  if (typeof value === "string") return 24 + value.length;
  if (typeof value !== "object" || value === null) return 0;
  let weight = 48;
  if (Array.isArray(value)) for (const item of value as readonly JsonValue[]) weight += 8 + weightOfValue(item);
  else for (const [name, item] of Object.entries(value)) weight += MEMBER_BYTES + name.length + weightOfValue(item);
  return weight;
}
