import type { JsonObject, JsonValue } from "./json.ts";
import { isLowerText, plainText, readString, type Cursor } from "./strict-string.ts";

export interface JsonLimits {
  /** Nested arrays and objects. */
  readonly maxDepth: number;
  /** Array elements and object members in all. */
  readonly maxMembers: number;
  /**
   * For what is passed on and never decided by: names that differ only in case are two names, and a number that a
   * double would change keeps its spelling, as a value that `JSON.stringify` writes unchanged ({@link isExactNumber}).
   */
  readonly verbatim?: boolean;
  /** Refuse integers beyond ±(2^53 − 1): here they are rounded, elsewhere they are not (RFC 7493 §2.2). */
  readonly exactIntegers?: boolean;
}

export type ReadJson =
  | { readonly ok: true; readonly value: JsonValue }
  | { readonly ok: false; readonly detail: string };

const SHORT_TEXT = 4096;
export const DEFAULT_LIMITS: JsonLimits = { maxDepth: 64, maxMembers: 10_000 };

/** ECMAScript's "JSON.parse source text access", which the compiler's library does not know yet. */
const { rawJSON, isRawJSON } = JSON as unknown as {
  rawJSON(text: string): JsonObject;
  isRawJSON(value: unknown): boolean;
};

/** True for a number that was kept as it was written: a leaf, although its type says object. */
export function isExactNumber(value: JsonValue | undefined): boolean {
  return isRawJSON(value);
}

/** A fault of the text, thrown inside this module only. */
class Fault extends Error {}

/**
 * Reads one JSON text (RFC 8259) in one pass over its bytes, and refuses whatever two parsers could read differently:
 * a byte-order mark, bytes that are not UTF-8, lone surrogates, names that come twice in one object or differ only in
 * case, numbers beyond double range, text after the value. `JSON.parse` would take the last of two equal names, a
 * million levels and replaced bytes (threat row M8).
 */
export function readJson(bytes: Uint8Array, limits: JsonLimits = DEFAULT_LIMITS): ReadJson {
  try {
    return { ok: true, value: new Reader(bytes, limits).document() };
  } catch (error) {
    if (error instanceof Fault || error instanceof SyntaxError) return { ok: false, detail: error.message };
    throw error;
  }
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/**
 * Makes objects that inherit no name at all. Not Object.create(null): V8 keeps such an object as a hash table, which is
 * several times slower to fill, to walk and to write.
 */
const Bare = function () {} as unknown as { new (): Record<string, JsonValue>; prototype: object };
Bare.prototype = Object.freeze(Object.create(null) as object);

/** Of names that are not ASCII, whose forms we compare: Unicode's way to sort marks takes the square of their number. */
const MAX_OTHER_NAME = 256;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** One text on its way: a method for each production of the grammar, with the cursor before and behind it. */
class Reader {
  readonly #text: Buffer;
  readonly #cursor: Cursor;
  readonly #limits: JsonLimits;
  readonly #verbatim: boolean;
  #members = 0;

  constructor(bytes: Uint8Array, limits: JsonLimits) {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#text = text;
    this.#limits = limits;
    this.#verbatim = limits.verbatim === true;
    // Parts of one string are cheaper than strings of their own, but each keeps the whole alive: only of short texts.
    this.#cursor = { text, latin1: text.length <= SHORT_TEXT ? text.toString("latin1") : null, at: 0 };
  }

  document(): JsonValue {
    const result = this.#value(0);
    this.#skipSpace();
    if (this.#cursor.at !== this.#text.length) throw new Fault("text after the value");
    return result;
  }

  /** The byte that is next, or −1 at the end. */
  #skipSpace(): number {
    const cursor = this.#cursor;
    let byte = this.#text[cursor.at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
      cursor.at += 1;
      byte = this.#text[cursor.at];
    }
    return byte ?? -1;
  }

  #count(): void {
    this.#members += 1;
    if (this.#members > this.#limits.maxMembers) throw new Fault("too many members");
  }

  #value(depth: number): JsonValue {
    const byte = this.#skipSpace();
    if (byte === QUOTE) return readString(this.#cursor);
    if (byte !== OPEN_OBJECT && byte !== OPEN_ARRAY) return this.#literal();
    if (depth >= this.#limits.maxDepth) throw new Fault("nested too deep");
    this.#cursor.at += 1;
    return byte === OPEN_OBJECT ? this.#object(depth + 1) : this.#array(depth + 1);
  }

  #array(depth: number): JsonValue {
    const items: JsonValue[] = [];
    if (this.#skipSpace() === CLOSE_ARRAY) {
      this.#cursor.at += 1;
      return items;
    }
    for (;;) {
      this.#count();
      items.push(this.#value(depth));
      const byte = this.#skipSpace();
      this.#cursor.at += 1;
      if (byte === CLOSE_ARRAY) return items;
      if (byte !== COMMA) throw new Fault("expected , or ]");
    }
  }

  #object(depth: number): JsonObject {
    const result = new Bare();
    if (this.#skipSpace() === CLOSE_OBJECT) {
      this.#cursor.at += 1;
      return result;
    }
    const names = new Names();
    for (;;) {
      this.#count();
      if (this.#skipSpace() !== QUOTE) throw new Fault("expected a name");
      const name = readString(this.#cursor);
      if (!this.#verbatim) checkName(name, names);
      else if (Object.hasOwn(result, name)) throw new Fault("a name comes twice");
      if (this.#skipSpace() !== COLON) throw new Fault("expected :");
      this.#cursor.at += 1;
      result[name] = this.#value(depth);
      const byte = this.#skipSpace();
      this.#cursor.at += 1;
      if (byte === CLOSE_OBJECT) return result;
      if (byte !== COMMA) throw new Fault("expected , or }");
    }
  }

  #literal(): JsonValue {
    const cursor = this.#cursor;
    const start = cursor.at;
    while (cursor.at < this.#text.length && isWordByte(this.#text[cursor.at] ?? 0)) cursor.at += 1;
    const word = plainText(cursor, start, cursor.at);
    if (word === "true") return true;
    if (word === "false") return false;
    if (word === "null") return null;
    return numberOf(word, this.#limits);
  }
}

function numberOf(word: string, { exactIntegers, verbatim }: JsonLimits): JsonValue {
  if (!NUMBER.test(word)) throw new Fault("not a JSON value");
  const number = Number(word);
  if (!Number.isFinite(number)) throw new Fault("number out of range");
  if (exactIntegers === true && !isExact(word, number)) throw new Fault("an integer beyond 2^53");
  return verbatim === true && String(number) !== word ? rawJSON(word) : number;
}

/** Fractions and exponents are doubles to everybody. */
function isExact(word: string, number: number): boolean {
  return Number.isSafeInteger(number) || /[.eE]/.test(word);
}

/** Letters, digits, and + - . of numbers and the three words. */
function isWordByte(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (byte >= 0x61 && byte <= 0x7a) ||
    byte === 0x2d ||
    byte === 0x2b ||
    byte === 0x2e ||
    byte === 0x45
  );
}

/** The names of one object, folded: a few in a list, many in a set. */
class Names {
  readonly #few: string[] = [];
  #many: Set<string> | null = null;

  /** False if it is there already. */
  add(name: string): boolean {
    if (this.#many !== null) {
      const { size } = this.#many;
      return this.#many.add(name).size > size;
    }
    if (this.#few.includes(name)) return false;
    this.#few.push(name);
    if (this.#few.length > 16) this.#many = new Set(this.#few);
    return true;
  }
}

/** Some parsers match names without regard to case or Unicode form, or end them at NUL (threat rows B02–B05). */
function checkName(name: string, names: Names): void {
  const plain = isLowerText(name);
  if (!plain && /\p{Cc}/u.test(name)) throw new Fault("control character in a name");
  if (!plain && name.length > MAX_OTHER_NAME && !isAscii(name)) throw new Fault("a long name that is not ASCII");
  if (!names.add(plain ? name : foldName(name))) throw new Fault("a name comes twice");
}

/** A name as the most tolerant parser we know of compares it: Go's encoding/json folds ſ to s and K to k. */
export function foldName(name: string): string {
  if (isAscii(name)) return name.toLowerCase();
  if (name.length > MAX_OTHER_NAME) return name; // as long as it is, no name that means something looks like it
  return name.normalize("NFKC").toLowerCase().replaceAll("\u017f", "s").replaceAll("\u212a", "k").normalize("NFKC");
}

function isAscii(name: string): boolean {
  return /^[\x20-\x7e]*$/.test(name);
}
