// The strict JSON reader (RFC 8259, RFC 7493) for bytes from outside. Pure.
import type { JsonObject, JsonValue } from "./types.ts";
import { FEW_MEMBERS, isElementChain, isLeafChain, isNameChain, MANY_MEMBERS } from "./hash-chains.ts";
import { faultOfSpelling, NameCheck, Names } from "./strict-name.ts";
import { isDoubleValue, isNumber } from "./strict-number.ts";
import { plainText, readString, type Cursor } from "./strict-string.ts";

export interface JsonLimits {
  /** Nested arrays and objects. */
  readonly maxDepth: number;
  /** Array elements and object members in all. */
  readonly maxMembers: number;
  /** For texts on which no decision depends: accept any distinct names in any spelling. */
  readonly anyNames?: boolean;
  /**
   * For texts that are only passed on: accept any distinct names, and keep the spelling of a number that a double would
   * change, as a value that `JSON.stringify` writes unchanged ({@link isExactNumber}).
   */
  readonly verbatim?: boolean;
  /**
   * For texts that both policy and a server read: refuse numbers that are not the same for every parser (RFC 7493 §2.2),
   * and names and values that share one chain of a hash table in policy.
   */
  readonly oneReading?: boolean;
}

export type ReadJson =
  | { readonly ok: true; readonly value: JsonValue }
  /** `at`: bytes that were read when the fault was found. `isNumber`: a number that is well-formed, and has no one reading. */
  | { readonly ok: false; readonly detail: string; readonly at: number; readonly isNumber?: boolean };

const SHORT_TEXT = 4096;
/** Jackson refuses numbers of more characters, Python integers of more than 4,300. */
const MAX_DIGITS = 1000;
const COLLISION = "names or values that were made to share one hash";
export const DEFAULT_LIMITS: JsonLimits = { maxDepth: 64, maxMembers: 10_000 };

/** ECMAScript's "JSON.parse source text access"; TypeScript's library has no types for it yet. */
const { rawJSON, isRawJSON } = JSON as unknown as {
  rawJSON(text: string): JsonObject;
  isRawJSON(value: unknown): boolean;
};

/** True for a number that keeps its spelling: a leaf, although its type says object. */
export function isExactNumber(value: JsonValue | undefined): boolean {
  return isRawJSON(value);
}

/** A fault of the text, thrown inside this module only. */
class Fault extends Error {}
class NumberFault extends Fault {}

/**
 * Reads one JSON text in one pass over its bytes, and refuses every text that two parsers could read differently: a
 * byte-order mark, bytes that are not UTF-8, lone surrogates, names that come twice in one object or differ only in case,
 * names that V8 can take for others, numbers beyond double range, text after the value. `JSON.parse` would accept the last
 * of two equal names, a million levels and replaced bytes (threat model: M8).
 */
export function readJson(bytes: Uint8Array, limits: JsonLimits = DEFAULT_LIMITS): ReadJson {
  const reader = new Reader(bytes, limits);
  try {
    return { ok: true, value: reader.document() };
  } catch (error) {
    if (error instanceof Fault || error instanceof SyntaxError)
      return {
        ok: false,
        detail: error.message,
        at: reader.at,
        ...(error instanceof NumberFault && { isNumber: true }),
      };
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
 * Makes objects that inherit no names. Not `Object.create(null)`: V8 keeps such an object as a hash table, which is several
 * times slower to fill, to iterate and to serialize.
 */
const NullPrototypeObject = function () {} as unknown as { new (): Record<string, JsonValue>; prototype: object };
NullPrototypeObject.prototype = Object.freeze(Object.create(null) as object);

/** A recursive-descent parser of one text: a method for each production of the grammar, which moves the cursor behind it. */
class Reader {
  readonly #text: Buffer;
  readonly #cursor: Cursor;
  readonly #limits: JsonLimits;
  readonly #anyNames: boolean;
  readonly #names = new NameCheck();
  readonly #oneReading: boolean;
  #members = 0;

  constructor(bytes: Uint8Array, limits: JsonLimits) {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#text = text;
    this.#limits = limits;
    this.#oneReading = limits.oneReading === true;
    this.#anyNames = limits.anyNames === true || limits.verbatim === true;
    // Slices of one string are cheaper than new strings, but each keeps the whole text alive: for short texts only.
    this.#cursor = { text, latin1: text.length <= SHORT_TEXT ? text.toString("latin1") : null, at: 0, escaped: false };
  }

  get at(): number {
    return this.#cursor.at;
  }

  document(): JsonValue {
    const result = this.#value(0);
    this.#skipSpace();
    if (this.#cursor.at !== this.#text.length) throw new Fault("text after the value");
    if (this.#oneReading && this.#members > MANY_MEMBERS && isLeafChain(result)) throw new Fault(COLLISION);
    return result;
  }

  /** Skips whitespace; returns the next byte, or −1 at the end. */
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
      if (byte === CLOSE_ARRAY) {
        if (this.#oneReading && items.length > FEW_MEMBERS && isElementChain(items)) throw new Fault(COLLISION);
        return items;
      }
      if (byte !== COMMA) throw new Fault("expected , or ]");
    }
  }

  #object(depth: number): JsonObject {
    const result = new NullPrototypeObject();
    if (this.#skipSpace() === CLOSE_OBJECT) {
      this.#cursor.at += 1;
      return result;
    }
    const names = new Names();
    for (let size = 1; ; size += 1) {
      this.#count();
      if (this.#skipSpace() !== QUOTE) throw new Fault("expected a name");
      const name = this.#anyNames ? this.#anyName(result) : this.#name(names);
      if (this.#skipSpace() !== COLON) throw new Fault("expected :");
      this.#cursor.at += 1;
      result[name] = this.#value(depth);
      const byte = this.#skipSpace();
      this.#cursor.at += 1;
      if (byte === CLOSE_OBJECT) {
        if (this.#oneReading && size > FEW_MEMBERS && isNameChain(Object.keys(result))) throw new Fault(COLLISION);
        return result;
      }
      if (byte !== COMMA) throw new Fault("expected , or }");
    }
  }

  #name(names: Names): string {
    const cursor = this.#cursor;
    const start = cursor.at;
    const name = readString(cursor);
    const fault =
      (cursor.escaped ? faultOfSpelling(name, this.#text.toString("latin1", start, cursor.at)) : null) ??
      this.#names.fault(name, names);
    if (fault !== null) throw new Fault(fault);
    return name;
  }

  #anyName(object: JsonObject): string {
    const name = readString(this.#cursor);
    if (Object.hasOwn(object, name)) throw new Fault("a name comes twice");
    return name;
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

function numberOf(word: string, { oneReading, verbatim }: JsonLimits): JsonValue {
  if (!isNumber(word)) throw new Fault("not a JSON value");
  const number = Number(word);
  if (!Number.isFinite(number)) throw new Fault("number out of range");
  if (oneReading === true) checkNumber(word, number);
  return verbatim === true && String(number) !== word ? rawJSON(word) : number;
}

function checkNumber(word: string, number: number): void {
  if (word.length > MAX_DIGITS) throw new NumberFault("a number of more digits than some readers take");
  if (!Number.isSafeInteger(number) && !/[.eE]/.test(word))
    throw new NumberFault("an integer beyond 2^53 - 1: send it as text");
  if (!isDoubleValue(word, number)) throw new NumberFault("a number that a double would change: send it as text");
}

/** True for the bytes of numbers and of the three words: lower-case letters, digits, `+ - .` and `E`. */
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
