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
 * before verification is ever a key (design 5.8). Least recently used entries leave first.
 */
export function createTokenCache(maxEntries: number): TokenCache {
  const entries = new Map<string, VerifiedToken>();
  const keyOf = (token: string) => hash("sha256", token, "base64url");
  return {
    get(token) {
      const key = keyOf(token);
      const found = entries.get(key);
      if (found !== undefined) {
        entries.delete(key);
        entries.set(key, found);
      }
      return found;
    },
    put(token, verified) {
      entries.set(keyOf(token), verified);
      if (entries.size <= maxEntries) return;
      const oldest = entries.keys().next();
      if (!oldest.done) entries.delete(oldest.value);
    },
    drop: (token) => void entries.delete(keyOf(token)),
  };
}
