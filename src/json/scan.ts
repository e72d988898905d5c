// Finds the end of a JSON value and checks its grammar (RFC 8259), in steps: a long text does not block the event loop. Pure.

/** A fault of the text; thrown and caught inside this folder only. */
export class ScanFault extends Error {}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const LETTER_U = 0x75;
const SIMPLE_ESCAPES = new Set(Buffer.from('"\\/bfnrt'));
const ZERO = 0x30;
const NINE = 0x39;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const LETTER_E = 0x65;
const CAPITAL_E = 0x45;
const WORDS: ReadonlyMap<number, string> = new Map(["true", "false", "null"].map((word) => [word.charCodeAt(0), word]));

/** Depth of arrays and objects, with the object around the value. */
const MAX_DEPTH = 255;
/** Digits of one number, which is read in one step. */
const MAX_DIGITS = 16 * 1024;

/** Grammar states: the next token. Numbers, because each token compares them; odd where an end is allowed too. */
const VALUE = 0;
const VALUE_OR_END = 1;
const NAME = 2;
const NAME_OR_END = 3;
const NEXT_COLON = 4;
const COMMA_OR_END = 5;

/** The state of a scan. */
export interface ValueScan {
  readonly text: Buffer;
  at: number;
  /** The closing byte of each open array and object, the innermost last. */
  readonly open: number[];
  expected: number;
  /** The kind of string in which the scan stands. */
  string: "none" | "name" | "value";
}

export function scanFrom(text: Buffer, at: number): ValueScan {
  return { text, at, open: [], expected: VALUE, string: "none" };
}

/**
 * Scans up to `stop`, or to the end of the token there.
 * @returns true when `at` is behind the value
 * @throws {ScanFault} for a text that is no JSON, is nested too deep or ends early
 */
export function scanOn(scan: ValueScan, stop: number): boolean {
  const { text } = scan;
  while (scan.at < stop) {
    if (scan.string !== "none") {
      if (stringOn(scan, stop) && isWhole(scan)) return true;
      continue;
    }
    const byte = text[scan.at] ?? 0;
    if (isSpace(byte)) scan.at += 1;
    else if (tokenOn(scan, byte)) return true;
  }
  if (scan.at >= text.length) throw new ScanFault();
  return false;
}

/** A value that is being skipped: its brackets are counted, and nothing is checked. */
export interface ValueSkip {
  readonly text: Buffer;
  readonly start: number;
  at: number;
  depth: number;
  isString: boolean;
}

export function skipFrom(text: Buffer, at: number): ValueSkip {
  return { text, start: at, at, depth: 0, isString: false };
}

/**
 * Goes on up to `stop`.
 * @returns true once the place is behind the value
 * @throws {ScanFault} if there is no value, or it does not end
 */
export function skipOn(skip: ValueSkip, stop: number): boolean {
  const { text } = skip;
  while (skip.at < stop) {
    const byte = text[skip.at] ?? 0;
    if (skip.isString ? skipsString(skip, byte) : skipsToken(skip, byte)) {
      if (skip.at === skip.start) throw new ScanFault();
      return true;
    }
  }
  if (skip.at >= text.length) throw new ScanFault();
  return false;
}

function skipsString(skip: ValueSkip, byte: number): boolean {
  skip.at += byte === BACKSLASH ? 2 : 1;
  if (byte !== QUOTE) return false;
  skip.isString = false;
  return skip.depth === 0;
}

function skipsToken(skip: ValueSkip, byte: number): boolean {
  if (byte === QUOTE) skip.isString = true;
  else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) skip.depth += 1;
  else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
    if (skip.depth === 0) return true; // of what the value stands in
    skip.depth -= 1;
    skip.at += 1;
    return skip.depth === 0;
  } else if (skip.depth === 0 && (byte === COMMA || byte === COLON || byte <= 0x20)) return true;
  skip.at += 1;
  return false;
}

/** The place of the first byte that is no space, or `stop`. */
export function spaceEnd(text: Buffer, from: number, stop: number): number {
  let at = from;
  while (at < stop && isSpace(text[at] ?? 0)) at += 1;
  return at;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Scans on in a string; true at its end. */
function stringOn(scan: ValueScan, stop: number): boolean {
  const { text } = scan;
  let { at } = scan;
  while (at < stop) {
    const byte = text[at];
    if (byte === undefined || byte < 0x20) throw new ScanFault();
    if (byte === QUOTE) {
      scan.at = at + 1;
      return true;
    }
    at = byte === BACKSLASH ? escapeEnd(text, at + 1) : at + 1;
  }
  scan.at = at;
  return false;
}

/** Ends a string; true if it was the whole value. */
function isWhole(scan: ValueScan): boolean {
  const wasName = scan.string === "name";
  scan.string = "none";
  if (!wasName) return valueEnded(scan);
  scan.expected = NEXT_COLON;
  return false;
}

function valueEnded(scan: ValueScan): boolean {
  scan.expected = COMMA_OR_END;
  return scan.open.length === 0;
}

/** Scans a token outside of strings; true if the whole value ends with it. */
function tokenOn(scan: ValueScan, byte: number): boolean {
  const { expected, open } = scan;
  if (expected % 2 === 1 && (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY)) {
    if (open.pop() !== byte) throw new ScanFault();
    scan.at += 1;
    return valueEnded(scan);
  }
  if (expected <= VALUE_OR_END) return valueBegins(scan, byte);
  scan.at += 1;
  if (expected === NEXT_COLON) {
    if (byte !== COLON) throw new ScanFault();
    scan.expected = VALUE;
  } else if (expected === COMMA_OR_END) {
    if (byte !== COMMA) throw new ScanFault();
    scan.expected = open[open.length - 1] === CLOSE_OBJECT ? NAME : VALUE;
  } else {
    if (byte !== QUOTE) throw new ScanFault();
    scan.string = "name";
  }
  return false;
}

function valueBegins(scan: ValueScan, byte: number): boolean {
  if (byte === QUOTE) {
    scan.string = "value";
    scan.at += 1;
    return false;
  }
  const isObject = byte === OPEN_OBJECT;
  if (!isObject && byte !== OPEN_ARRAY) {
    scan.at = wordEnd(scan.text, scan.at);
    return valueEnded(scan);
  }
  if (scan.open.length >= MAX_DEPTH) throw new ScanFault();
  scan.open.push(isObject ? CLOSE_OBJECT : CLOSE_ARRAY);
  scan.expected = isObject ? NAME_OR_END : VALUE_OR_END;
  scan.at += 1;
  return false;
}

function escapeEnd(text: Buffer, at: number): number {
  const letter = text[at] ?? 0;
  if (SIMPLE_ESCAPES.has(letter)) return at + 1;
  if (letter !== LETTER_U) throw new ScanFault();
  for (let digit = at + 1; digit < at + 5; digit += 1) if (!isHex(text[digit] ?? 0)) throw new ScanFault();
  return at + 5;
}

/** The offset behind a number or one of the three words. The caller checks the byte that follows. */
function wordEnd(text: Buffer, start: number): number {
  const byte = text[start] ?? 0;
  if (byte === MINUS || isDigit(byte)) return numberEnd(text, start);
  const word = WORDS.get(byte);
  if (word === undefined) throw new ScanFault();
  for (let i = 1; i < word.length; i += 1) if (text[start + i] !== word.charCodeAt(i)) throw new ScanFault();
  return start + word.length;
}

/** The offset behind a number. Byte by byte, without a pattern: a server may send millions of numbers. */
function numberEnd(text: Buffer, start: number): number {
  let at = text[start] === MINUS ? start + 1 : start;
  at = text[at] === ZERO ? at + 1 : digitsEnd(text, at);
  if (text[at] === DOT) at = digitsEnd(text, at + 1);
  if (text[at] !== LETTER_E && text[at] !== CAPITAL_E) return at;
  const isSigned = text[at + 1] === PLUS || text[at + 1] === MINUS;
  return digitsEnd(text, isSigned ? at + 2 : at + 1);
}

/** The offset behind one digit or more. */
function digitsEnd(text: Buffer, start: number): number {
  let at = start;
  while (isDigit(text[at] ?? 0)) at += 1;
  if (at === start || at - start > MAX_DIGITS) throw new ScanFault();
  return at;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

function isHex(byte: number): boolean {
  const lower = byte | 0x20; // A–F to a–f; no other byte becomes one of these
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66);
}
