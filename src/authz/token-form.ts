import type { JsonObject } from "../mcp/json.ts";
import { readJson } from "../mcp/strict-json.ts";

/** A token taken apart; nothing in it is verified yet. */
export interface UnverifiedToken {
  readonly header: JsonObject;
  readonly payload: JsonObject;
}

const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
/** Claims of a person with very many groups; far below what would slow policy down. */
const MAX_PART_BYTES = 16 * 1024;
const LIMITS = { maxDepth: 8, maxMembers: 4096 };

/**
 * Takes a compact JWS apart (RFC 7515 §7.1), or says what is wrong. Three canonical base64url parts and strict JSON:
 * jose would take spaces, padding, spare bits and duplicate names too (M5, M6), so that one token had many spellings.
 */
export function readToken(token: string): UnverifiedToken | string {
  if (!FORM.test(token)) return "not three base64url parts";
  const parts = token.split(".").map((part) => decodeCanonical(part));
  const [header, payload, signature] = parts;
  if (!header || !payload || !signature) return "base64url is not canonical";
  const claims = readObject(payload);
  const protectedHeader = readObject(header);
  if (typeof protectedHeader === "string") return `header: ${protectedHeader}`;
  if (typeof claims === "string") return `payload: ${claims}`;
  return { header: protectedHeader, payload: claims };
}

function decodeCanonical(part: string): Buffer | null {
  const bytes = Buffer.from(part, "base64url");
  return bytes.toString("base64url") === part ? bytes : null;
}

function readObject(bytes: Buffer): JsonObject | string {
  if (bytes.length > MAX_PART_BYTES) return "too large";
  const json = readJson(bytes, LIMITS);
  if (!json.ok) return json.detail;
  if (typeof json.value !== "object" || json.value === null || Array.isArray(json.value)) return "not an object";
  return json.value as JsonObject;
}
