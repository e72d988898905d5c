import { isUtf8 } from "node:buffer";
import { readString, type Cursor } from "./strict-string.ts";

/** A value's place in its text: from its first byte to behind its last. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** An object's place in its text, and those of its members' values. */
export interface ObjectSpan extends Span {
  readonly members: ReadonlyMap<string, Span>;
}

/** What stands in a text instead of what stood there. An empty span inserts. */
export interface Edit extends Span {
  readonly text: string | Uint8Array;
}

/** Nested arrays and objects: more is refused, so that nobody can exhaust the stack. */
const MAX_DEPTH = 256;
/** Of one object whose places are kept: as many as the strict reader takes. */
const MAX_MEMBERS = 10_000;

/** A fault of the text, thrown inside this module only. */
class Fault extends Error {}

/**
 * Finds the members of the object that a JSON text is, and checks the whole text against the grammar (RFC 8259), without
 * building a value: so a message can go on byte for byte. Null for text that is no object, is not UTF-8, is nested too
 * deep, has two members of one name or far too many; what names deeper objects have is their reader's business.
 */
export function readObjectSpan(bytes: Uint8Array): ObjectSpan | null {
  if (!isUtf8(bytes)) return null;
  const text = bufferOf(bytes);
  return guarded(() => {
    const object = objectAt({ text, at: 0, escaped: false });
    if (skipSpace(text, object.end) !== text.length) throw new Fault();
    return object;
  });
}

/** Finds the members of an object inside a text that was read already. Null if the value at `span` is no object. */
export function innerObjectSpan(bytes: Uint8Array, span: Span | undefined): ObjectSpan | null {
  if (span === undefined) return null;
  return guarded(() => objectAt({ text: bufferOf(bytes), at: span.start, escaped: false }));
}

/** The text with all edits done; they must not overlap. */
export function splice(bytes: Uint8Array, edits: readonly Edit[]): Buffer {
  return Buffer.concat(splicedParts(bytes, edits));
}

/** The same in parts, so that a long text need not be copied. */
export function splicedParts(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array[] {
  const text = bufferOf(bytes);
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const edit of edits.toSorted((a, b) => a.start - b.start)) {
    parts.push(text.subarray(at, edit.start), typeof edit.text === "string" ? Buffer.from(edit.text) : edit.text);
    at = edit.end;
  }
  parts.push(text.subarray(at));
  return parts;
}

/**
 * What to change so that an object has these members: the value of one that it has, and the others at its front.
 * @param values JSON texts by name
 */
export function setMembers(object: ObjectSpan, values: Readonly<Record<string, string>>): Edit[] {
  const edits: Edit[] = [];
  const added: string[] = [];
  for (const [name, text] of Object.entries(values)) {
    const span = object.members.get(name);
    if (span === undefined) added.push(`${JSON.stringify(name)}:${text}`);
    else edits.push({ start: span.start, end: span.end, text });
  }
  if (added.length === 0) return edits;
  const front = object.start + 1;
  const text = added.join(",") + (object.members.size === 0 ? "" : ",");
  return [{ start: front, end: front, text }, ...edits];
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function guarded(read: () => ObjectSpan): ObjectSpan | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof Fault || error instanceof SyntaxError) return null;
    throw error;
  }
}

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

/** The object that begins at the cursor, which is left behind it. */
function objectAt(cursor: Cursor): ObjectSpan {
  const { text } = cursor;
  const start = skipSpace(text, cursor.at);
  if (text[start] !== OPEN_OBJECT) throw new Fault();
  const members = new Map<string, Span>();
  cursor.at = skipSpace(text, start + 1);
  if (text[cursor.at] === CLOSE_OBJECT) return { start, end: cursor.at + 1, members };
  for (;;) {
    cursor.at = skipSpace(text, cursor.at);
    if (text[cursor.at] !== QUOTE) throw new Fault();
    const name = readString(cursor);
    if (members.has(name) || members.size >= MAX_MEMBERS) throw new Fault();
    const from = skipSpace(text, expect(text, cursor.at, COLON));
    const end = valueEnd(text, from, 1);
    members.set(name, { start: from, end });
    cursor.at = skipSpace(text, end) + 1;
    const byte = text[cursor.at - 1];
    if (byte === CLOSE_OBJECT) return { start, end: cursor.at, members };
    if (byte !== COMMA) throw new Fault();
  }
}

function skipSpace(text: Buffer, from: number): number {
  let at = from;
  for (;;) {
    const byte = text[at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at += 1;
  }
}

/** The place behind this byte, which must come next. */
function expect(text: Buffer, from: number, byte: number): number {
  const at = skipSpace(text, from);
  if (text[at] !== byte) throw new Fault();
  return at + 1;
}

/** The place behind the value that begins at `at`. */
function valueEnd(text: Buffer, at: number, depth: number): number {
  const byte = text[at];
  if (byte === QUOTE) return stringEnd(text, at);
  if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) return containerEnd(text, at, depth + 1);
  return wordEnd(text, at);
}

function containerEnd(text: Buffer, start: number, depth: number): number {
  if (depth > MAX_DEPTH) throw new Fault();
  const close = text[start] === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY;
  let at = skipSpace(text, start + 1);
  if (text[at] === close) return at + 1;
  for (;;) {
    if (close === CLOSE_OBJECT) at = memberValue(text, at);
    at = skipSpace(text, valueEnd(text, skipSpace(text, at), depth));
    const byte = text[at];
    at += 1;
    if (byte === close) return at;
    if (byte !== COMMA) throw new Fault();
  }
}

/** The place behind a member's name and colon. */
function memberValue(text: Buffer, from: number): number {
  const at = skipSpace(text, from);
  if (text[at] !== QUOTE) throw new Fault();
  return expect(text, stringEnd(text, at), COLON);
}

function stringEnd(text: Buffer, start: number): number {
  let at = start + 1;
  for (;;) {
    const byte = text[at];
    if (byte === undefined || byte < 0x20) throw new Fault();
    if (byte === QUOTE) return at + 1;
    at = byte === BACKSLASH ? escapeEnd(text, at + 1) : at + 1;
  }
}

function escapeEnd(text: Buffer, at: number): number {
  const letter = text[at] ?? 0;
  if (SIMPLE_ESCAPES.has(letter)) return at + 1;
  if (letter !== LETTER_U) throw new Fault();
  for (let digit = at + 1; digit < at + 5; digit += 1) if (!isHex(text[digit] ?? 0)) throw new Fault();
  return at + 5;
}

/** The place behind a number or one of the three words; that nothing else follows is its reader's business. */
function wordEnd(text: Buffer, start: number): number {
  const byte = text[start] ?? 0;
  if (byte === MINUS || isDigit(byte)) return numberEnd(text, start);
  const word = WORDS.get(byte);
  if (word === undefined) throw new Fault();
  for (let i = 1; i < word.length; i += 1) if (text[start + i] !== word.charCodeAt(i)) throw new Fault();
  return start + word.length;
}

/** Byte by byte: a server may answer with millions of numbers, while everybody else waits. */
function numberEnd(text: Buffer, start: number): number {
  let at = text[start] === MINUS ? start + 1 : start;
  at = text[at] === ZERO ? at + 1 : digitsEnd(text, at);
  if (text[at] === DOT) at = digitsEnd(text, at + 1);
  if (text[at] !== LETTER_E && text[at] !== CAPITAL_E) return at;
  const isSigned = text[at + 1] === PLUS || text[at + 1] === MINUS;
  return digitsEnd(text, isSigned ? at + 2 : at + 1);
}

/** The place behind one digit or more. */
function digitsEnd(text: Buffer, start: number): number {
  let at = start;
  while (isDigit(text[at] ?? 0)) at += 1;
  if (at === start) throw new Fault();
  return at;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

function isHex(byte: number): boolean {
  const lower = byte | 0x20; // a capital's small letter; no other byte becomes one of a to f
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66);
}
