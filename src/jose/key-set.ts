// Reads a JWK Set into the keys that may verify a signature (RFC 7517, RFC 7518). Pure.
import { createPublicKey, type KeyObject } from "node:crypto";
import { isObject } from "../json/object.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";
import { readJson } from "../json/strict-reader.ts";

export interface VerificationKey {
  /** {@link NO_KID} for the one key of a set that has none. */
  readonly kid: string;
  /** The one family of algorithms that this key may verify. */
  readonly algorithms: readonly string[];
  readonly key: KeyObject;
}

/** Keys by `kid`. */
export type KeySet = ReadonlyMap<string, VerificationKey>;

export const MAX_KEYS = 64;
/** Under this the key without `kid` stands in a set: no `kid` of a token is empty. It is for tokens without `kid`. */
export const NO_KID = "";
/** Keys whose faults a message names. */
const MAX_FAULTS = 8;
const LIMITS = { maxDepth: 6, maxMembers: 4096 };
const PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth"];
const CURVES: Readonly<Record<string, string>> = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };
const RSA_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
/** A key id: visible ASCII, at most 256. */
export const KID = /^[\x21-\x7e]{1,256}$/;

/**
 * Reads a JWK Set (RFC 7517 §5), or returns its fault. Keys that could be forged or misused are left out: wrong type, weak or
 * malformed RSA, symmetric, for encryption, different keys with one `kid` or without any. A set with a private key is refused.
 * WebCrypto would accept an RSA key with the exponent 1 (threat model: M7).
 */
export function readKeySet(bytes: Uint8Array): KeySet | string {
  const jwks = readJwks(bytes);
  if (typeof jwks === "string") return jwks;
  const { keys, faults } = usableKeys(jwks);
  return keys.size === 0 ? ["no usable key", ...faults.slice(0, MAX_FAULTS)].join("; ") : keys;
}

/** Reads a JWK Set in which every key must have this algorithm and a `kid` of its own: any other entry refuses the whole set. */
export function readWholeKeySet(bytes: Uint8Array, algorithm: string): KeySet | string {
  const jwks = readJwks(bytes);
  if (typeof jwks === "string") return jwks;
  const { keys } = usableKeys(jwks);
  const isWhole = keys.size > 0 && keys.size === jwks.length && !keys.has(NO_KID);
  return isWhole && [...keys.values()].every(({ algorithms }) => algorithms.join() === algorithm)
    ? keys
    : `not a set of ${algorithm} keys only`;
}

/** Returns the new set, with the earlier object for each key that is equal and has the same algorithms. */
export function withSameObjects(next: KeySet, before: KeySet): KeySet {
  return new Map(
    [...next].map(([kid, key]) => {
      const old = before.get(kid);
      return [kid, old !== undefined && isSame(old, key) ? old : key];
    }),
  );
}

function isSame(a: VerificationKey, b: VerificationKey): boolean {
  return a.algorithms.join() === b.algorithms.join() && a.key.equals(b.key);
}

function readJwks(bytes: Uint8Array): readonly JsonValue[] | string {
  const json = readJson(bytes, LIMITS);
  if (!json.ok) return `not JSON: ${json.detail}`;
  const jwks = isObject(json.value) ? json.value["keys"] : undefined;
  if (!Array.isArray(jwks)) return "not a JWK Set";
  if (jwks.length > MAX_KEYS) return "too many keys";
  return jwks.some(isPrivate) ? "a private key is published" : (jwks as readonly JsonValue[]);
}

/** Equal keys count once; of different ones with the same `kid` none does. A fault says which entry, counted from 1, and the rule. */
function usableKeys(jwks: readonly JsonValue[]): { keys: KeySet; faults: readonly string[] } {
  const keys = new Map<string, VerificationKey>();
  const ambiguous = new Set<string>();
  const faults: string[] = [];
  for (const [index, jwk] of jwks.entries()) {
    const key = isObject(jwk) ? usableKey(jwk) : "no object";
    if (typeof key === "string") faults.push(`key ${index + 1}: ${key}`);
    else {
      const twin = keys.get(key.kid);
      if (twin === undefined) keys.set(key.kid, key);
      else if (!isSame(twin, key)) ambiguous.add(key.kid);
    }
  }
  for (const kid of ambiguous) {
    keys.delete(kid);
    faults.push(kid === NO_KID ? "several keys without kid" : "several keys with the same kid");
  }
  return { keys, faults };
}

function isPrivate(jwk: JsonValue): boolean {
  if (!isObject(jwk)) return false;
  return PRIVATE_MEMBERS.some((name) => name in jwk) || (jwk["kty"] === "oct" && "k" in jwk);
}

/** The key, or the rule that it breaks: no part of the document. */
function usableKey(jwk: JsonObject): VerificationKey | string {
  const fault = faultOfUse(jwk);
  if (fault !== null) return fault;
  const { kid = NO_KID } = jwk as { readonly kid?: string };
  const algorithms = algorithmsOf(jwk);
  if (algorithms === null) return "a type, curve or alg that verifies no token";
  try {
    const members = ["kty", "crv", "x", "y", "n", "e"].filter((name) => typeof jwk[name] === "string");
    const key = createPublicKey({ key: Object.fromEntries(members.map((name) => [name, jwk[name]])), format: "jwk" });
    return isStrong(key) ? { kid, algorithms, key } : "RSA below 2048 or above 8192 bits, or with a weak exponent";
  } catch {
    return "not a point of its curve, or not a number";
  }
}

function faultOfUse({ kid, use, key_ops: operations }: JsonObject): string | null {
  if (kid !== undefined && (typeof kid !== "string" || !KID.test(kid))) return "a kid that is no visible ASCII";
  if (use !== undefined && use !== "sig") return "use is not sig";
  return operations === undefined || isFor(operations, "verify") ? null : "key_ops without verify";
}

function isFor(operations: JsonValue, operation: string): boolean {
  return Array.isArray(operations) && (operations as readonly JsonValue[]).includes(operation);
}

/** The algorithms of a key by its type and curve; `alg` can only narrow them. */
function algorithmsOf({ kty, crv, alg }: JsonObject): readonly string[] | null {
  let possible: readonly string[] = [];
  if (kty === "RSA") possible = RSA_ALGORITHMS;
  else if (kty === "EC" && typeof crv === "string" && Object.hasOwn(CURVES, crv)) possible = [CURVES[crv] ?? ""];
  else if (kty === "OKP" && crv === "Ed25519") possible = ["EdDSA"];
  if (alg === undefined) return possible.length === 0 ? null : possible;
  return typeof alg === "string" && possible.includes(alg) ? [alg] : null;
}

function isStrong(key: KeyObject): boolean {
  if (key.asymmetricKeyType !== "rsa") return true;
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  return modulusLength >= 2048 && modulusLength <= 8192 && publicExponent >= 65_537n && publicExponent % 2n === 1n;
}
