import { hash } from "node:crypto";
import type { Identity } from "../authz/ports.ts";
import type { CheckedClaims } from "./claims.ts";
import type { VerificationKey } from "./key-set.ts";

/** A token that was verified, with what its audience and lifetime are judged by at each use. */
export interface VerifiedToken {
  readonly identity: Identity;
  readonly claims: CheckedClaims;
  readonly key: VerificationKey;
}

export interface TokenCache {
  get(token: string): VerifiedToken | undefined;
  put(token: string, verified: VerifiedToken): void;
  drop(token: string): void;
}

/**
 * Verified tokens by the SHA-256 of the whole token, signature included: two spellings are two entries, and nothing read
 * before verification is ever a key (design 5.8). Two halves, so that a hit writes nothing: what is used in the older one
 * moves to the newer, and when that is full the rest of the older leaves.
 */
export function createTokenCache(maxEntries: number): TokenCache {
  let newer = new Map<string, VerifiedToken>();
  let older = new Map<string, VerifiedToken>();
  const keyOf = (token: string) => hash("sha256", token, "base64url");

  function put(key: string, verified: VerifiedToken): void {
    newer.set(key, verified);
    if (newer.size * 2 < maxEntries) return;
    older = newer;
    newer = new Map();
  }

  return {
    get(token) {
      const key = keyOf(token);
      const found = newer.get(key);
      if (found !== undefined) return found;
      const before = older.get(key);
      if (before !== undefined) put(key, before);
      return before;
    },
    put: (token, verified) => put(keyOf(token), verified),
    drop(token) {
      const key = keyOf(token);
      newer.delete(key);
      older.delete(key);
    },
  };
}
