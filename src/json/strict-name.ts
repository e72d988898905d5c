// The accepted spellings of member names, and the names that some parser takes for the same. Pure; part of the strict reader.
import { isLowerText } from "./strict-string.ts";

/** The fault of a name, in words for the sender; null for a good one. */
export type NameFault = string | null;

/** Code points of a name beyond ASCII: Unicode normalization sorts marks in quadratic time. */
export const MAX_OTHER_NAME = 64;
/** UTF-16 code units of all such names of one text: folding one costs about as much as reading 200 bytes. */
export const MAX_OTHER_NAMES = 32_768;

/**
 * `\u0020` to `\u007e`: printable ASCII. In the spelling of a name that holds no backslash, each `\u` begins an escape.
 */
const ESCAPED_ASCII = /\\u00[2-7]/;

/**
 * Checks the spelling of a name with escapes. V8 since 12.9 (Node 23 to 26) reads the next name of a known object shape by
 * its raw bytes, and so takes an escaped name for another one that holds a backslash (docs/v8-json-parse.md). Without such
 * names, no request through the gateway can plant a shape in a server that runs V8. A shape that was planted in another way
 * (by a JSON text inside a string, say) can replace no ASCII name, because those are written without escapes.
 *
 * Accepted: `\/` (PHP writes it in names with a slash), `\"`, and `\uXXXX` beyond ASCII, with surrogate pairs (Python's
 * `ensure_ascii`). Control characters are refused in any spelling.
 */
export function faultOfSpelling(name: string, literal: string): NameFault {
  if (name.includes("\\")) return "a backslash in a name";
  return ESCAPED_ASCII.test(literal) ? "a name that escapes ASCII as \\u00XX: write the character itself" : null;
}

/** The names of one object, folded: a few in a list, many in a set. */
export class Names {
  readonly #few: string[] = [];
  #many: Set<string> | null = null;

  /** Adds a name; false if the object has it already. */
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

/** Compares the names of one text as tolerant parsers do, within a budget for names beyond ASCII. */
export class NameCheck {
  #left = MAX_OTHER_NAMES;

  /** Some parsers match names without regard to case or Unicode form, or end them at NUL (threat model: B02–B05). */
  fault(name: string, names: Names): NameFault {
    if (isLowerText(name)) return names.add(name) ? null : TWICE;
    if (/\p{Cc}/u.test(name)) return "control character in a name";
    if (isAscii(name)) return names.add(name.toLowerCase()) ? null : TWICE;
    this.#left -= name.length;
    if (isTooLong(name)) return `a name beyond ASCII with more than ${MAX_OTHER_NAME} characters`;
    if (this.#left < 0) return "too many names beyond ASCII";
    return names.add(foldName(name)) ? null : TWICE;
  }
}

const TWICE = "a name comes twice, or two names differ only in case";

/**
 * Folds a name as the most tolerant parsers do: Go's encoding/json by Unicode's simple folding (ſ is s, K is k, ς is σ),
 * others by NFKC. Upper case after lower case joins all letters of one fold; İ and ı become i.
 */
export function foldName(name: string): string {
  if (isAscii(name)) return name.toLowerCase();
  if (isTooLong(name)) return name; // longer than any protocol name
  const folded = name.normalize("NFKC").toLowerCase().toUpperCase().toLowerCase();
  return folded.replaceAll("i\u0307", "i").replaceAll("ς", "σ").normalize("NFKC");
}

function isTooLong(name: string): boolean {
  if (name.length <= MAX_OTHER_NAME) return false;
  return name.length > 2 * MAX_OTHER_NAME || Array.from(name).length > MAX_OTHER_NAME;
}

function isAscii(name: string): boolean {
  return /^[\x20-\x7e]*$/.test(name);
}
