// How member names may be written and which ones are the same name to some parser. Pure; used by the strict JSON reader.
import { isLowerText } from "./strict-string.ts";

/** Why a name is refused, in words for the sender; null for one that is fine. */
export type NameFault = string | null;

/** Code points of a name that is not ASCII: Unicode's way to sort marks takes the square of their number. */
const MAX_OTHER_NAME = 64;
/** UTF-16 code units of all such names of one text: folding one costs about as much as reading 200 bytes. */
const MAX_OTHER_NAMES = 32_768;

/**
 * `\u0020` to `\u007e`: printable ASCII. In the spelling of a name that holds no backslash, each `\u` begins an escape.
 */
const ESCAPED_ASCII = /\\u00[2-7]/;

/**
 * How a name with escapes may be written. V8 since 12.9 (Node 23 to 26) reads the next name of a known object shape by its raw bytes,
 * and so takes an escaped name for another one that holds a backslash (docs/v8-json-parse.md). Without such names
 * nothing can be planted in a server through us; and a name of ASCII letters that was planted in another way (in a JSON
 * text inside a string, say) can replace none of ours, because ASCII names come as they are.
 *
 * What stays: `\/` (PHP writes it in names with a slash), `\"`, and `\uXXXX` beyond ASCII, with surrogate pairs
 * (`ensure_ascii` of Python). Control characters are refused in any spelling.
 */
export function faultOfSpelling(name: string, literal: string): NameFault {
  if (name.includes("\\")) return "a backslash in a name";
  return ESCAPED_ASCII.test(literal) ? "a name that escapes ASCII as \\u00XX: write the character itself" : null;
}

/** The names of one object, folded: a few in a list, many in a set. */
export class Names {
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

/** Compares the names of one text as tolerant parsers do, within a budget for those that are not ASCII. */
export class NameCheck {
  #left = MAX_OTHER_NAMES;

  /** Some parsers match names without regard to case or Unicode form, or end them at NUL (threat rows B02–B05). */
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
 * A name as the most tolerant parsers compare it: Go's encoding/json by Unicode's simple folding (ſ is s, K is k, ς is σ),
 * others by NFKC. Upper case besides lower case brings all letters of one fold together; İ and ı become i.
 */
export function foldName(name: string): string {
  if (isAscii(name)) return name.toLowerCase();
  if (isTooLong(name)) return name; // as long as it is, no name that means something looks like it
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
