// Reads one JSON string (RFC 8259 §7) from bytes. Pure; part of the strict reader.
import { isUtf8 } from "node:buffer";

/** The position of a reader in its text. */
export interface Cursor {
  readonly text: Buffer;
  /** The whole text in Latin-1, if the caller has made it: a slice of it costs no call out of V8. */
  readonly latin1?: string | null;
  at: number;
  /** True if the last string had escapes. */
  escaped: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Returns a part of the text that is ASCII. */
export function plainText({ text, latin1 }: Cursor, start: number, end: number): string {
  return latin1?.slice(start, end) ?? text.toString("latin1", start, end);
}

/** True for printable ASCII without capitals: it is its own folded form. */
export function isLowerText(text: string): boolean {
  return /^[\x20-\x40\x5b-\x7e]*$/.test(text);
}

/**
 * Reads the string that begins at the cursor's quote, and moves the cursor behind it. One scan finds the end and tells
 * whether the string is plain ASCII, as nearly all are: then it needs one copy.
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

/** Decodes the string before the cursor, which has escapes or is not ASCII. */
function decoded({ text, at, escaped }: Cursor, start: number, isAscii: boolean): string {
  // Buffer.toString silently replaces bad bytes, so they are checked first.
  if (!isAscii && !isUtf8(text.subarray(start, at - 1))) throw new SyntaxError("not UTF-8");
  if (!escaped) return text.toString("utf8", start, at - 1);
  return unescape(text.toString(isAscii ? "latin1" : "utf8", start - 1, at));
}

/**
 * Decodes a string literal. `JSON.parse` is safe here: V8's fault (docs/v8-json-parse.md) is in names of objects only. It is
 * a hundred times as fast as a loop of ours over dense escapes. Its error message quotes the text, so it is dropped.
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
