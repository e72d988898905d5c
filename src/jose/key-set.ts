// Reads a JWK Set into the keys that may verify a signature (RFC 7517, RFC 7518). Pure.
import { createPublicKey, type KeyObject } from "node:crypto";
import type { JsonObject, JsonValue } from "../json/types.ts";
import { readJson } from "../json/strict-reader.ts";

export interface VerificationKey {
  readonly kid: string;
  /** The one family of algorithms that this key may verify. */
  readonly algorithms: readonly string[];
  readonly key: KeyObject;
}

/** Keys by `kid`. */
export type KeySet = ReadonlyMap<string, VerificationKey>;

export const MAX_KEYS = 64;
const LIMITS = { maxDepth: 6, maxMembers: 4096 };
const PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth"];
const CURVES: Readonly<Record<string, string>> = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };
const RSA_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
/** A key id: visible ASCII, at most 256. */
export const KID = /^[\x21-\x7e]{1,256}$/;

/**
 * Reads a JWK Set (RFC 7517 §5), or returns its fault. Keys that could be forged or misused are left out: wrong type, weak or
 * malformed RSA, symmetric, for encryption, with a `kid` that comes twice. A set with a private key is refused. WebCrypto
 * would accept an RSA key with the exponent 1 (threat model: M7).
 */
export function readKeySet(bytes: Uint8Array): KeySet | string {
  const jwks = readJwks(bytes);
  if (typeof jwks === "string") return jwks;
  const keys = usableKeys(jwks);
  return keys.size === 0 ? "no usable key" : keys;
}

/** Reads a JWK Set in which every key must have this algorithm: any other entry refuses the whole set. */
export function readWholeKeySet(bytes: Uint8Array, algorithm: string): KeySet | string {
  const jwks = readJwks(bytes);
  if (typeof jwks === "string") return jwks;
  const keys = usableKeys(jwks);
  const isWhole = keys.size > 0 && keys.size === jwks.length;
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

function usableKeys(jwks: readonly JsonValue[]): KeySet {
  const once = kidsThatComeOnce(jwks);
  const keys = new Map<string, VerificationKey>();
  for (const jwk of jwks) {
    const key = isObject(jwk) ? usableKey(jwk) : null;
    if (key !== null && once.has(key.kid)) keys.set(key.kid, key);
  }
  return keys;
}

function isPrivate(jwk: JsonValue): boolean {
  if (!isObject(jwk)) return false;
  return PRIVATE_MEMBERS.some((name) => name in jwk) || (jwk["kty"] === "oct" && "k" in jwk);
}

function kidsThatComeOnce(jwks: readonly JsonValue[]): Set<JsonValue | undefined> {
  const kids = jwks.map((jwk) => (isObject(jwk) ? jwk["kid"] : undefined));
  return new Set(kids.filter((kid) => kids.indexOf(kid) === kids.lastIndexOf(kid)));
}

function usableKey(jwk: JsonObject): VerificationKey | null {
  const { kid, use, key_ops: operations } = jwk;
  if (typeof kid !== "string" || !KID.test(kid)) return null;
  if (use !== undefined && use !== "sig") return null;
  if (
    operations !== undefined &&
    !(Array.isArray(operations) && (operations as readonly JsonValue[]).includes("verify"))
  )
    return null;
  const algorithms = algorithmsOf(jwk);
  if (algorithms === null) return null;
  try {
    const members = ["kty", "crv", "x", "y", "n", "e"].filter((name) => typeof jwk[name] === "string");
    const key = createPublicKey({ key: Object.fromEntries(members.map((name) => [name, jwk[name]])), format: "jwk" });
    return isStrong(key) ? { kid, algorithms, key } : null;
  } catch {
    return null; // not a point of its curve, not a number
  }
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

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
