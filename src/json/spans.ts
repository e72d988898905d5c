// Finds places in a JSON text, so that it can go on byte for byte or be read piece by piece. Pure; the grammar is scan.ts.
import { isUtf8 } from "node:buffer";
import { ScanFault, scanFrom, scanOn, skipFrom, skipOn, spaceEnd } from "./scan.ts";
import { readString } from "./strict-string.ts";

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

/** Of one object whose places are kept: as many as the strict reader takes. */
const MAX_MEMBERS = 10_000;
/** Of a member's name in it, which is read without a pause: as long as a request may be. */
const MAX_NAME_BYTES = 1024 * 1024;

/** Work that can be left and taken up again. After each step it tells how many bytes it read. */
export type Steps<T> = Generator<number, T, void>;

/** Does the whole work at once. */
export function atOnce<T>(work: Steps<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Does the work in slices. @param spend counts what was read; a promise once others have their turn */
export async function inSlices<T>(work: Steps<T>, spend: (bytes: number) => Promise<void> | null): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    const turn = spend(step.value);
    if (turn !== null) await turn;
  }
}

/**
 * Finds the members of the object that a JSON text is, and checks the whole text against the grammar (RFC 8259), without
 * building a value: so a message can go on byte for byte. Null for text that is no object, is not UTF-8, is nested too
 * deep, has two members of one name or far too many; what names deeper objects have is their reader's business.
 */
export function readObjectSpan(bytes: Uint8Array): ObjectSpan | null {
  return atOnce(objectSpanIn(bytes));
}

/** Finds the members of an object inside a text that was read already. Null if the value at `span` is no object. */
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
/** Bytes that are read in one step. */
const STEP_BYTES = 16 * 1024;
/** What a member costs beside its bytes. */
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
