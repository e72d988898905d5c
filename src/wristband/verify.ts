import { verify as verifyBytes, type KeyObject } from "node:crypto";
import { pass, refuse, type Step } from "../authz/outcome.ts";
import type { JsonObject } from "../mcp/json.ts";
import { readJson } from "../mcp/strict-json.ts";
import { wristbandClaims, WRISTBAND_TYPE, type WristbandClaims } from "./claims.ts";

/** The public key of a `kid`, or undefined. */
export type FindKey = (kid: string) => KeyObject | undefined;

export interface VerifierOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly findKey: FindKey;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const MAX_JWS_BYTES = 64 * 1024;
const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** Verifies wristbands: every claim is required, nothing is optional, and any doubt is `wristband_invalid`. */
export function createVerifier(options: VerifierOptions): (jws: string) => Step<WristbandClaims> {
  return (jws) => {
    const claims = verifyCompact(jws, WRISTBAND_TYPE, options.findKey);
    if (typeof claims === "string") return refuse("wristband_invalid", claims);
    const parsed = wristbandClaims.safeParse(claims);
    if (!parsed.success) return refuse("wristband_invalid", "claims");
    const { iss, aud, iat, exp, caller_exp: callerExp } = parsed.data;
    const now = options.now() / 1000;
    if (iss !== options.issuer || aud !== options.audience) return refuse("wristband_invalid", "issuer or audience");
    if (exp <= now || callerExp <= now || iat > now + 60 || exp > callerExp) return refuse("wristband_invalid", "time");
    return pass(parsed.data);
  };
}

/** The payload of a compact ES256 JWS of exactly this type, or what is wrong with it. */
export function verifyCompact(jws: string, type: string, findKey: FindKey): JsonObject | string {
  const parts = canonicalParts(jws);
  if (parts === null) return "form";
  const kid = kidOf(parts.header, type);
  if (kid === null) return "header";
  const key = findKey(kid);
  if (key === undefined) return "kid";
  const input = Buffer.from(jws.slice(0, jws.lastIndexOf(".")));
  const isSigned =
    parts.signature.length === 64 && verifyBytes("sha256", input, { key, dsaEncoding: "ieee-p1363" }, parts.signature);
  return isSigned ? (objectOf(parts.payload) ?? "payload") : "signature";
}

function canonicalParts(jws: string): { header: Buffer; payload: Buffer; signature: Buffer } | null {
  if (jws.length > MAX_JWS_BYTES || !FORM.test(jws)) return null;
  const texts = jws.split(".");
  const [header, payload, signature] = texts.map((text) => Buffer.from(text, "base64url"));
  if (!header || !payload || !signature) return null;
  const canonical = [header, payload, signature].every((bytes, i) => bytes.toString("base64url") === texts[i]);
  return canonical ? { header, payload, signature } : null;
}

/** The `kid` of a header that has exactly our three members. */
function kidOf(bytes: Buffer, type: string): string | null {
  const header = objectOf(bytes);
  if (header === null || Object.keys(header).length !== 3) return null;
  const { alg, typ, kid } = header;
  return alg === "ES256" && typ === type && typeof kid === "string" ? kid : null;
}

function objectOf(bytes: Buffer): JsonObject | null {
  const json = readJson(bytes, { maxDepth: 8, maxMembers: 100_000 });
  return json.ok && typeof json.value === "object" && json.value !== null && !Array.isArray(json.value)
    ? (json.value as JsonObject)
    : null;
}
