// The form of a compact JWS (RFC 7515 §7.1), before and after its signature is verified. Pure.
import type { JsonObject } from "../json/types.ts";
import { readJson, type JsonLimits } from "../json/strict-reader.ts";
import { readString } from "../json/strict-string.ts";

/** Header and claims of a token. Nothing in them is verified yet. */
export interface UnverifiedToken {
  readonly header: JsonObject;
  readonly payload: JsonObject;
}

/** Header and payload bytes of a token. The payload is not parsed before its signature is verified. */
export interface TokenParts {
  readonly header: JsonObject;
  readonly payload: Buffer;
}

const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
/** Room for the claims of a person with very many groups; far below the size that slows policy down. */
export const MAX_PART_BYTES = 16 * 1024;
const CLAIM_LIMITS = { maxDepth: 8, maxMembers: 4096 };
/** Headers of forged tokens are parsed too. A larger one holds certificates, which are never accepted. */
const MAX_HEADER_BYTES = 2048;
const HEADER_LIMITS = { maxDepth: 4, maxMembers: 32 };
/** Bytes of the `iss` literal. */
const MAX_ISSUER_BYTES = 2048;

/**
 * Parses a token, or returns its fault. Three canonical base64url parts and strict JSON: the library jose accepts spaces,
 * padding, spare bits and duplicate names too, so that one token has many spellings (threat model: M5, M6).
 */
export function readToken(token: string): UnverifiedToken | string {
  const parts = splitToken(token);
  if (typeof parts === "string") return parts;
  const payload = readClaims(parts.payload);
  return typeof payload === "string" ? payload : { header: parts.header, payload };
}

/** Splits a token and parses its header alone: claims are parsed when the signature is verified. */
export function splitToken(token: string): TokenParts | string {
  if (!FORM.test(token)) return "not three base64url parts";
  const [header, payload, signature] = token.split(".").map((part) => decodeCanonical(part));
  if (!header || !payload || !signature) return "base64url is not canonical";
  if (header.length > MAX_HEADER_BYTES) return "header: too large";
  if (payload.length > MAX_PART_BYTES) return "payload: too large";
  const read = readObject(header, HEADER_LIMITS);
  return typeof read === "string" ? `header: ${read}` : { header: read, payload };
}

/** Parses the claims, or returns their fault. */
export function readClaims(payload: Buffer): JsonObject | string {
  const claims = readObject(payload, CLAIM_LIMITS);
  return typeof claims === "string" ? `payload: ${claims}` : claims;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/**
 * Finds the first `iss` of the outermost object, or null, in one pass over the bytes: a fiftieth of the cost of parsing the
 * claims. It only selects the issuer whose keys verify the token. A payload that is no JSON is refused later, by the parser.
 */
export function claimedIssuer(payload: Buffer): string | null {
  let depth = 0;
  for (let at = 0; at < payload.length; at += 1) {
    const byte = payload[at] ?? 0;
    if (byte === QUOTE) {
      const end = endOfString(payload, at);
      const colon = depth === 1 && isIss(payload, at, end) ? skipSpace(payload, end + 1) : -1;
      if (payload[colon] === COLON) return textAt(payload, skipSpace(payload, colon + 1));
      at = end;
    } else if (byte === 0x7b || byte === 0x5b) depth += 1;
    else if (byte === 0x7d || byte === 0x5d) depth -= 1;
  }
  return null;
}

function isIss(payload: Buffer, start: number, end: number): boolean {
  return end - start === 4 && payload.toString("latin1", start + 1, end) === "iss";
}

function textAt(payload: Buffer, at: number): string | null {
  if (payload[at] !== QUOTE || endOfString(payload, at) - at > MAX_ISSUER_BYTES) return null;
  try {
    return readString({ text: payload, at, escaped: false });
  } catch {
    return null; // no JSON: no issuer
  }
}

/** The offset of the quote that ends a string, or the length of the text. */
function endOfString(payload: Buffer, start: number): number {
  let at = start + 1;
  for (; at < payload.length && payload[at] !== QUOTE; at += 1) if (payload[at] === BACKSLASH) at += 1;
  return at;
}

function skipSpace(payload: Buffer, from: number): number {
  let at = from;
  while (payload[at] === 0x20 || payload[at] === 0x09 || payload[at] === 0x0a || payload[at] === 0x0d) at += 1;
  return at;
}

function decodeCanonical(part: string): Buffer | null {
  const bytes = Buffer.from(part, "base64url");
  return bytes.toString("base64url") === part ? bytes : null;
}

function readObject(bytes: Buffer, limits: JsonLimits): JsonObject | string {
  const json = readJson(bytes, limits);
  if (!json.ok) return json.detail;
  if (typeof json.value !== "object" || json.value === null || Array.isArray(json.value)) return "not an object";
  return json.value as JsonObject;
}
