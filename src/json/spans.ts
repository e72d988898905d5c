// Finds places in a JSON text, so that it can go on byte for byte or be read piece by piece. Pure; the grammar is scan.ts.
import { isUtf8 } from "node:buffer";
import { ScanFault, scanFrom, scanOn, skipFrom, skipOn, spaceEnd } from "./scan.ts";
import { readString } from "./strict-string.ts";

/** The place of a value: byte offsets of its first byte and behind its last. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The place of an object, and those of its members' values. */
export interface ObjectSpan extends Span {
  readonly members: ReadonlyMap<string, Span>;
}

/** A replacement of one span. An empty span inserts. */
export interface Edit extends Span {
  readonly text: string | Uint8Array;
}

/** Members of one object: as many as the strict reader takes. */
const MAX_MEMBERS = 10_000;
/** Bytes of a member's name, which is read in one step: the limit of a request. */
const MAX_NAME_BYTES = 1024 * 1024;

/** Work in steps. Each step yields the number of bytes that it read. */
export type Steps<T> = Generator<number, T, void>;

/** Runs all steps at once. */
export function atOnce<T>(work: Steps<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Runs the steps in slices. @param spend counts the bytes; returns a promise when it is time to yield to other work */
export async function inSlices<T>(work: Steps<T>, spend: (bytes: number) => Promise<void> | null): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    const turn = spend(step.value);
    if (turn !== null) await turn;
  }
}

/**
 * Finds the members of the object that a JSON text is, and checks the whole text against the grammar (RFC 8259) without
 * building a value. Null for a text that is no object, is not UTF-8, is nested too deep, or whose object has two members of
 * one name or more than {@link MAX_MEMBERS}. Names of inner objects are not checked.
 */
export function readObjectSpan(bytes: Uint8Array): ObjectSpan | null {
  return atOnce(objectSpanIn(bytes));
}

/** Finds the members of an object inside a checked text. Null if the value at `span` is no object. */
export function innerObjectSpan(bytes: Uint8Array, span: Span | undefined): ObjectSpan | null {
  return atOnce(innerObjectSpanIn(bytes, span));
}

/**
 * {@link readObjectSpan} in steps, of which only the outermost object is checked: each value ends where its brackets close,
 * whatever stands in it. For a text whose values are read one by one, so that a malformed one costs itself alone.
 */
export function* looseObjectSpanIn(bytes: Uint8Array): Steps<ObjectSpan | null> {
  return yield* wholeObject(bufferOf(bytes), looseEnd);
}

/** {@link innerObjectSpanIn} with values that are not checked. */
export function* looseInnerObjectSpanIn(bytes: Uint8Array, span: Span | undefined): Steps<ObjectSpan | null> {
  return span === undefined ? null : yield* guarded(objectAt(bufferOf(bytes), span.start, looseEnd));
}

/** {@link readObjectSpan} in steps. */
export function* objectSpanIn(bytes: Uint8Array): Steps<ObjectSpan | null> {
  return isUtf8(bytes) ? yield* wholeObject(bufferOf(bytes), strictEnd) : null;
}

function* wholeObject(text: Buffer, valueEnd: ValueEnd): Steps<ObjectSpan | null> {
  const object = yield* guarded(objectAt(text, 0, valueEnd));
  return object !== null && (yield* skipSpace(text, object.end)) === text.length ? object : null;
}

/** {@link innerObjectSpan} in steps. */
export function* innerObjectSpanIn(bytes: Uint8Array, span: Span | undefined): Steps<ObjectSpan | null> {
  return span === undefined ? null : yield* guarded(objectAt(bufferOf(bytes), span.start, strictEnd));
}

/**
 * Visits the items of an array inside a text in their order, in steps; null if the value at `span` is no array. The items
 * before a fault have been visited then. Items are not checked.
 */
export function* looseItemsIn(
  bytes: Uint8Array,
  span: Span | undefined,
  visit: (item: Buffer) => void,
): Steps<true | null> {
  return span === undefined ? null : yield* guarded(arrayAt(bufferOf(bytes), span.start, visit));
}

/** Returns the text with all edits; they must not overlap. */
export function splice(bytes: Uint8Array, edits: readonly Edit[]): Buffer {
  return Buffer.concat(splicedParts(bytes, edits));
}

/** Returns the text with all edits as parts, without copying it. */
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
 * Makes the edits that set members of an object: present ones get the new value, absent ones are inserted at the front.
 * @param values JSON texts by name
 */
export function setMembers(object: ObjectSpan, values: Readonly<Record<string, string>>): Edit[] {
  const edits: Edit[] = [];
  const inserts: string[] = [];
  for (const [name, text] of Object.entries(values)) {
    const span = object.members.get(name);
    if (span === undefined) inserts.push(`${JSON.stringify(name)}:${text}`);
    else edits.push({ start: span.start, end: span.end, text });
  }
  if (inserts.length === 0) return edits;
  const front = object.start + 1;
  const text = inserts.join(",") + (object.members.size === 0 ? "" : ",");
  return [{ start: front, end: front, text }, ...edits];
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function* guarded<T>(read: Steps<T>): Steps<T | null> {
  try {
    return yield* read;
  } catch (error) {
    if (error instanceof ScanFault || error instanceof SyntaxError) return null;
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
/** Bytes of one step. */
const STEP_BYTES = 16 * 1024;
/** Cost of a member beside its bytes, in bytes. */
const MEMBER_COST = 64;

/** The object that begins here, or behind space. */
function* objectAt(text: Buffer, from: number, valueEnd: ValueEnd): Steps<ObjectSpan> {
  const start = yield* skipSpace(text, from);
  if (text[start] !== OPEN_OBJECT) throw new ScanFault();
  const members = new Map<string, Span>();
  let at = yield* skipSpace(text, start + 1);
  if (text[at] === CLOSE_OBJECT) return { start, end: at + 1, members };
  for (;;) {
    const nameEnd = yield* nameAt(text, at, valueEnd);
    const name = readString({ text, at, escaped: false });
    if (members.has(name) || members.size >= MAX_MEMBERS) throw new ScanFault();
    const colon = yield* skipSpace(text, nameEnd);
    if (text[colon] !== COLON) throw new ScanFault();
    const value = yield* skipSpace(text, colon + 1);
    const end = yield* valueEnd(text, value);
    members.set(name, { start: value, end });
    at = yield* skipSpace(text, end);
    if (text[at] === CLOSE_OBJECT) return { start, end: at + 1, members };
    if (text[at] !== COMMA) throw new ScanFault();
    at = yield* skipSpace(text, at + 1);
    yield MEMBER_COST;
  }
}

/** The array that begins here, or behind space. */
function* arrayAt(text: Buffer, from: number, visit: (item: Buffer) => void): Steps<true> {
  const start = yield* skipSpace(text, from);
  if (text[start] !== OPEN_ARRAY) throw new ScanFault();
  let at = yield* skipSpace(text, start + 1);
  if (text[at] === CLOSE_ARRAY) return true;
  for (;;) {
    const end = yield* looseEnd(text, at);
    visit(text.subarray(at, end));
    at = yield* skipSpace(text, end);
    if (text[at] === CLOSE_ARRAY) return true;
    if (text[at] !== COMMA) throw new ScanFault();
    at = yield* skipSpace(text, at + 1);
    yield MEMBER_COST;
  }
}

/** The place behind the name that begins here. */
function* nameAt(text: Buffer, at: number, valueEnd: ValueEnd): Steps<number> {
  if (text[at] !== QUOTE) throw new ScanFault();
  const end = yield* valueEnd(text, at);
  if (end - at > MAX_NAME_BYTES) throw new ScanFault();
  return end;
}

/** The place behind the value that begins here. */
type ValueEnd = (text: Buffer, from: number) => Steps<number>;

/** Checks the value against the grammar. */
function* strictEnd(text: Buffer, from: number): Steps<number> {
  const scan = scanFrom(text, from);
  let done = from;
  while (!scanOn(scan, Math.min(text.length, scan.at + STEP_BYTES))) {
    yield scan.at - done;
    done = scan.at;
  }
  return scan.at;
}

/** Counts brackets and skips strings, and looks at nothing else. */
function* looseEnd(text: Buffer, from: number): Steps<number> {
  const skip = skipFrom(text, from);
  let done = from;
  while (!skipOn(skip, Math.min(text.length, skip.at + STEP_BYTES))) {
    yield skip.at - done;
    done = skip.at;
  }
  return skip.at;
}

/** The place of the first byte that is no space. */
function* skipSpace(text: Buffer, from: number): Steps<number> {
  let at = from;
  for (;;) {
    const stop = Math.min(text.length, at + STEP_BYTES);
    const end = spaceEnd(text, at, stop);
    if (end < stop || stop === text.length) return end;
    yield end - at;
    at = end;
  }
}
