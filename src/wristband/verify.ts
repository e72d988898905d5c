// Verifies wristbands, and other compact ES256 JWS of ours (RFC 7515). Pure: keys and clock are passed in.
import { hash, verify as verifyBytes, type KeyObject } from "node:crypto";
import { LRUCache } from "lru-cache";
import { isObject } from "../json/object.ts";
import type { JsonObject } from "../json/types.ts";
import { readJson } from "../json/strict-reader.ts";
import {
  MAX_LIFETIME_SECONDS,
  signedClaims,
  WRISTBAND_TYPE,
  type SignedClaims,
  type WristbandClaims,
} from "./claims.ts";
import { unpackNames, type NameHistory } from "./compact-names.ts";

/** The public key of a `kid`, or undefined. The same object for as long as the key is the same. */
export type FindKey = (kid: string) => KeyObject | undefined;

/** Faults of a compact ES256 JWS. `kid`: no key of this id is known. */
const JWS_FAULTS = ["form", "header", "kid", "signature", "payload"] as const;
/** Faults of a wristband; also the labels of a metric. `catalog`: it refers to a list of a server that is not known here. */
export const WRISTBAND_FAULTS = ["size", ...JWS_FAULTS, "claims", "parties", "time", "catalog"] as const;
export type JwsFault = (typeof JWS_FAULTS)[number];
export type WristbandFault = (typeof WRISTBAND_FAULTS)[number];

export type Verification =
  | { readonly ok: true; readonly value: WristbandClaims }
  | { readonly ok: false; readonly fault: WristbandFault };

export interface VerifierOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly findKey: FindKey;
  /** The names of a revision of a server's list; without it, no wristband with a bitset is taken. */
  readonly findNames?: NameHistory["find"];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const MAX_JWS_BYTES = 32 * 1024;
const MAX_KNOWN = 10_000;
const MAX_KNOWN_BYTES = 32 * 1024 * 1024;
/** Claims take so many times their JWS as objects: names of a few letters are what a caller can have most of. */
const CLAIMS_FACTOR = 3;
/** Bytes of a name in a list: the text is that of the catalogue. */
const REFERENCE_BYTES = 8;
const SKEW_SECONDS = 60;
const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const LIMITS = { maxDepth: 4, maxMembers: 20_000 };

interface CacheEntry {
  readonly claims: WristbandClaims;
  readonly kid: string;
  readonly key: KeyObject;
}

function fail<F>(fault: F): { readonly ok: false; readonly fault: F } {
  return { ok: false, fault };
}

/**
 * Verifies wristbands: every claim is required, nothing is optional, and any doubt is a fault. What was verified is
 * known again by its whole text while its key is in force; its times are compared each time. One with a
 * digest serves one body, so it is not kept.
 */
export function createVerifier(options: VerifierOptions): (jws: string) => Verification {
  const known = new LRUCache<string, CacheEntry>({ max: MAX_KNOWN, maxSize: MAX_KNOWN_BYTES });
  return (jws) => {
    if (jws.length > MAX_JWS_BYTES) return fail("size");
    const digest = hash("sha256", jws, "base64url");
    const before = known.get(digest);
    if (before !== undefined && options.findKey(before.kid) === before.key)
      return checkTimes(before.claims, options.now());
    known.delete(digest);
    const read = verifyCompact(jws, WRISTBAND_TYPE, options.findKey);
    if (!read.ok) return fail(read.fault);
    const parsed = signedClaims.safeParse(read.claims);
    if (!parsed.success) return fail("claims");
    const { iss, aud } = parsed.data;
    if (iss !== options.issuer || aud !== options.audience) return fail("parties");
    const unpacked = unpackClaims(parsed.data, options);
    if (!unpacked.ok) return unpacked;
    const claims = unpacked.value;
    const checked = checkTimes(claims, options.now());
    if (checked.ok && !("body" in claims))
      known.set(digest, { claims, kid: read.kid, key: read.key }, { size: sizeOf(jws, claims) });
    return checked;
  };
}

function unpackClaims(signed: SignedClaims, { findNames = () => undefined }: VerifierOptions): Verification {
  if (signed.use !== "list") return { ok: true, value: signed };
  const unpacked = unpackNames(signed, findNames);
  if (!unpacked.ok) return fail(unpacked.fault === "revision" ? "catalog" : "claims");
  const { cat: _, ...claims } = signed;
  return { ok: true, value: { ...claims, ...unpacked.names } };
}

/** Bytes that verified claims take in memory, about. */
function sizeOf(jws: string, { tools, prompts, resources }: WristbandClaims): number {
  const lists = [tools, prompts, resources].flatMap((servers) => Object.values(servers));
  return jws.length * CLAIMS_FACTOR + lists.reduce((sum, names) => sum + names.length * REFERENCE_BYTES, 0);
}

function checkTimes(claims: WristbandClaims, milliseconds: number): Verification {
  const { iat, exp, caller_exp: callerExp } = claims;
  const now = milliseconds / 1000;
  const isAlive = exp > now && iat <= now + SKEW_SECONDS;
  const isShort = exp > iat && exp - iat <= MAX_LIFETIME_SECONDS && exp <= callerExp;
  return isAlive && isShort ? { ok: true, value: claims } : fail("time");
}

export interface VerifiedJws {
  readonly ok: true;
  readonly claims: JsonObject;
  readonly kid: string;
  readonly key: KeyObject;
}

/** The payload of a compact ES256 JWS of exactly this type, or what is wrong with it. */
export function verifyCompact(
  jws: string,
  type: string,
  findKey: FindKey,
): VerifiedJws | { readonly ok: false; readonly fault: JwsFault } {
  const parts = canonicalParts(jws);
  if (parts === null) return fail("form");
  const kid = kidOf(parts.header, type);
  if (kid === null) return fail("header");
  const key = findKey(kid);
  if (key === undefined) return fail("kid");
  const input = Buffer.from(jws.slice(0, jws.lastIndexOf(".")));
  const isSigned =
    parts.signature.length === 64 && verifyBytes("sha256", input, { key, dsaEncoding: "ieee-p1363" }, parts.signature);
  if (!isSigned) return fail("signature");
  const claims = objectOf(parts.payload);
  return claims === null ? fail("payload") : { ok: true, claims, kid, key };
}

/** The three parts; base64url that would be written differently is none (RFC 4648 §3.5; threat model: A16). */
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
  return json.ok && isObject(json.value) ? json.value : null;
}
