import { hash, verify as verifyBytes, type KeyObject } from "node:crypto";
import { LRUCache } from "lru-cache";
import { pass, refuse, type Step } from "../authz/step.ts";
import type { JsonObject } from "../json/types.ts";
import { readJson } from "../json/strict-reader.ts";
import { MAX_LIFETIME_SECONDS, wristbandClaims, WRISTBAND_TYPE, type WristbandClaims } from "./claims.ts";

/** The public key of a `kid`, or undefined. The same object for as long as the key is the same. */
export type FindKey = (kid: string) => KeyObject | undefined;

export interface VerifierOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly findKey: FindKey;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const MAX_JWS_BYTES = 32 * 1024;
const MAX_KNOWN = 10_000;
const MAX_KNOWN_BYTES = 32 * 1024 * 1024;
/** Claims take so many times their JWS as objects: names of a few letters are what a caller can have most of. */
const CLAIMS_FACTOR = 3;
const SKEW_SECONDS = 60;
const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const LIMITS = { maxDepth: 4, maxMembers: 20_000 };

interface Known {
  readonly claims: WristbandClaims;
  readonly kid: string;
  readonly key: KeyObject;
}

/**
 * Verifies wristbands: every claim is required, nothing is optional, and any doubt is `wristband_invalid`. What was
 * verified is known again by its whole text while its key is in force; its times are compared each time. That of a call
 * serves one body, so it is not kept.
 */
export function createVerifier(options: VerifierOptions): (jws: string) => Step<WristbandClaims> {
  const known = new LRUCache<string, Known>({ max: MAX_KNOWN, maxSize: MAX_KNOWN_BYTES });
  return (jws) => {
    if (jws.length > MAX_JWS_BYTES) return refuse("wristband_invalid", "size");
    const digest = hash("sha256", jws, "base64url");
    const before = known.get(digest);
    if (before !== undefined && options.findKey(before.kid) === before.key) return timely(before.claims, options.now());
    known.delete(digest);
    const read = verifyCompact(jws, WRISTBAND_TYPE, options.findKey);
    if (typeof read === "string") return refuse("wristband_invalid", read);
    const parsed = wristbandClaims.safeParse(read.claims);
    if (!parsed.success) return refuse("wristband_invalid", "claims");
    const { iss, aud } = parsed.data;
    if (iss !== options.issuer || aud !== options.audience) return refuse("wristband_invalid", "parties");
    const checked = timely(parsed.data, options.now());
    if (checked.ok && parsed.data.use === "list")
      known.set(digest, { claims: parsed.data, kid: read.kid, key: read.key }, { size: jws.length * CLAIMS_FACTOR });
    return checked;
  };
}

function timely(claims: WristbandClaims, milliseconds: number): Step<WristbandClaims> {
  const { iat, exp, caller_exp: callerExp } = claims;
  const now = milliseconds / 1000;
  const isAlive = exp > now && iat <= now + SKEW_SECONDS;
  const isShort = exp > iat && exp - iat <= MAX_LIFETIME_SECONDS && exp <= callerExp;
  return isAlive && isShort ? pass(claims) : refuse("wristband_invalid", "time");
}

export interface Verified {
  readonly claims: JsonObject;
  readonly kid: string;
  readonly key: KeyObject;
}

/** The payload of a compact ES256 JWS of exactly this type, or what is wrong with it. `kid`: nobody has this key. */
export function verifyCompact(jws: string, type: string, findKey: FindKey): Verified | string {
  const parts = canonicalParts(jws);
  if (parts === null) return "form";
  const kid = kidOf(parts.header, type);
  if (kid === null) return "header";
  const key = findKey(kid);
  if (key === undefined) return "kid";
  const input = Buffer.from(jws.slice(0, jws.lastIndexOf(".")));
  const isSigned =
    parts.signature.length === 64 && verifyBytes("sha256", input, { key, dsaEncoding: "ieee-p1363" }, parts.signature);
  if (!isSigned) return "signature";
  const claims = objectOf(parts.payload);
  return claims === null ? "payload" : { claims, kid, key };
}

/** The three parts; base64url that would be written differently is none (RFC 4648 §3.5, threat row A16). */
function canonicalParts(jws: string): { header: Buffer; payload: Buffer; signature: Buffer } | null {
  if (jws.length > MAX_JWS_BYTES || !FORM.test(jws)) return null;
  const texts = jws.split(".");
  const [header, payload, signature] = texts.map((text) => Buffer.from(text, "base64url"));
  if (!header || !payload || !signature) return null;
  const canonical = [header, payload, signature].every((bytes, i) => bytes.toString("base64url") === texts[i]);
  return canonical ? { header, payload, signature } : null;
}

/** The `kid` of a header that has exactly our three members: so there is no `jwk`, `jku`, `crit`, `b64` or `x5c`. */
function kidOf(bytes: Buffer, type: string): string | null {
  const header = objectOf(bytes);
  if (header === null || Object.keys(header).length !== 3) return null;
  const { alg, typ, kid } = header;
  return alg === "ES256" && typ === type && typeof kid === "string" ? kid : null;
}

/** Strict: no name twice, UTF-8 only, no number beyond range. */
function objectOf(bytes: Buffer): JsonObject | null {
  const json = readJson(bytes, LIMITS);
  return json.ok && typeof json.value === "object" && json.value !== null && !Array.isArray(json.value)
    ? (json.value as JsonObject)
    : null;
}
