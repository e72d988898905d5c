import { isUtf8 } from "node:buffer";

/** A place in a text that is being read. */
export interface Cursor {
  readonly text: Buffer;
  /** The whole text, a character for each byte, where somebody made it: parts of it then cost no call out of V8. */
  readonly latin1?: string | null;
  at: number;
  /** Whether the string that was read last was written with escapes. */
  escaped: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** A part of the text that is ASCII. */
export function plainText({ text, latin1 }: Cursor, start: number, end: number): string {
  return latin1?.slice(start, end) ?? text.toString("latin1", start, end);
}

/** True for printable ASCII without capitals: it is its own folded form. */
export function isLowerText(text: string): boolean {
  return /^[\x20-\x40\x5b-\x7e]*$/.test(text);
}

/**
 * Reads the string that begins at the cursor's quote, and puts the cursor behind it. One scan finds its end and whether
 * it is plain ASCII, as nearly all are: then it is one copy.
 * @throws {SyntaxError} for control characters, bytes that are not UTF-8, bad escapes and lone surrogates
 */
export function readString(cursor: Cursor): string {
  const { text } = cursor;
  const start = cursor.at + 1;
  let at = start;
  let plain = true;
  let escaped = false;
  for (;;) {
    const byte = text[at];
    if (byte === undefined) throw new SyntaxError("unterminated string");
    if (byte === QUOTE) break;
    if (byte < 0x20) throw new SyntaxError("control character in a string");
    if (byte === BACKSLASH) {
      escaped = true;
      at += 1;
    } else if (byte > 0x7e) plain = false;
    at += 1;
  }
  cursor.at = at + 1;
  cursor.escaped = escaped;
  if (plain && !escaped) return plainText(cursor, start, at);
  return decoded(cursor, start, plain);
}

/** The string before the cursor, which is not plain. */
function decoded({ text, at, escaped }: Cursor, start: number, isAscii: boolean): string {
  // Buffer.toString replaces bad bytes without a word, so they are looked for first.
  if (!isAscii && !isUtf8(text.subarray(start, at - 1))) throw new SyntaxError("not UTF-8");
  if (!escaped) return text.toString("utf8", start, at - 1);
  return unescape(text.toString(isAscii ? "latin1" : "utf8", start - 1, at));
}

/**
 * A string literal, decoded. `JSON.parse` is safe here, and a hundred times as fast as a loop of ours over dense escapes:
 * V8's fault (docs/v8-json-parse.md) is in the names of objects only. Its message quotes the text, so it is not kept.
 */
function unescape(literal: string): string {
  let result: string;
  try {
    result = JSON.parse(literal) as string;
  } catch {
    throw new SyntaxError("bad escape");
  }
  if (!result.isWellFormed()) throw new SyntaxError("lone surrogate");
  return result;
}
