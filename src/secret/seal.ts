// Seals small values that clients hold for us, such as session ids: AES-256-GCM (NIST SP 800-38D). Pure but for randomness.
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

/** A key of 32 bytes. Its `id` stands in what it seals, so that it can be replaced. */
export interface SealKey {
  readonly id: string;
  readonly key: Uint8Array;
}

/** For what a value is sealed, and for whom. A value opens with the same context only. */
export interface SealContext {
  /** One of ours, as `session`: a value for one purpose is none for another. */
  readonly purpose: string;
  /** Values that the seal is bound to and does not hold, as issuer and subject. */
  readonly bound: readonly string[];
}

export interface Sealer {
  /** Seals with the first key. The text is of `A-Z a-z 0-9 - _`, the same value never twice the same. */
  seal(value: Uint8Array, context: SealContext): string;
  /** The value; null for whatever was not sealed so, altered or malformed. Never throws. */
  open(text: string, context: SealContext): Buffer | null;
}

const CIPHER = "aes-256-gcm";
const FORMAT = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const MAX_CHARS = 16 * 1024;

/**
 * Makes a sealer. Form: format byte, length of the key's id, the id, nonce, ciphertext, tag, as base64url without padding. All
 * before the nonce is authenticated, as the context is. A nonce is random: one key may seal 2^32 values (NIST SP 800-38D §8.3).
 * @param keys the first one seals, all open
 * @param maxChars a longer text is not looked at
 * @throws {RangeError} without a key, or with one that is not of 32 bytes
 */
export function createSealer(keys: readonly SealKey[], maxChars = MAX_CHARS): Sealer {
  const [first] = keys;
  if (first === undefined) throw new RangeError("no key to seal with");
  const byId = new Map(keys.map((key) => [checked(key).id, key]));
  return {
    seal(value, context) {
      const id = Buffer.from(first.id);
      const head = Buffer.concat([Buffer.from([FORMAT, id.length]), id]);
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, first.key, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(associatedData(head, context));
      const sealed = Buffer.concat([cipher.update(value), cipher.final()]);
      return Buffer.concat([head, nonce, sealed, cipher.getAuthTag()]).toString("base64url");
    },
    open(text, context) {
      const parts = text.length > maxChars ? null : partsOf(text);
      const key = parts === null ? undefined : byId.get(parts.id);
      return parts === null || key === undefined ? null : opened(parts, key, context);
    },
  };
}

function checked(key: SealKey): SealKey {
  const isId = /^[\x21-\x7e]{1,255}$/.test(key.id);
  if (key.key.length !== 32 || !isId) throw new RangeError("a key has 32 bytes, and an id of visible ASCII");
  return key;
}

interface Parts {
  readonly id: string;
  readonly head: Buffer;
  readonly nonce: Buffer;
  readonly sealed: Buffer;
  readonly tag: Buffer;
}

/** Takes a text apart. Base64url that would be written differently is none (RFC 4648 §3.5). */
function partsOf(text: string): Parts | null {
  if (!/^[A-Za-z0-9_-]+$/.test(text)) return null;
  const bytes = Buffer.from(text, "base64url");
  const [format, idLength = 0] = bytes;
  const nonceAt = 2 + idLength;
  const tagAt = bytes.length - TAG_BYTES;
  if (format !== FORMAT || nonceAt + NONCE_BYTES > tagAt || bytes.toString("base64url") !== text) return null;
  return {
    id: bytes.toString("latin1", 2, nonceAt),
    head: bytes.subarray(0, nonceAt),
    nonce: bytes.subarray(nonceAt, nonceAt + NONCE_BYTES),
    sealed: bytes.subarray(nonceAt + NONCE_BYTES, tagAt),
    tag: bytes.subarray(tagAt),
  };
}

function opened({ head, nonce, sealed, tag }: Parts, { key }: SealKey, context: SealContext): Buffer | null {
  try {
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(associatedData(head, context)).setAuthTag(tag);
    return Buffer.concat([decipher.update(sealed), decipher.final()]);
  } catch {
    return null; // Node says no more than that the tag does not fit
  }
}

/** JSON of a list is injective: no two contexts have the same bytes. */
function associatedData(head: Buffer, { purpose, bound }: SealContext): Buffer {
  return Buffer.from(JSON.stringify([head.toString("base64url"), purpose, ...bound]));
}
