// Finds the values of a long JSON text, in slices. It finds places only: what stands there is for the strict reader.
import type { Span } from "./spans.ts";
import { readString } from "./strict-string.ts";
import type { Slices } from "../async/slices.ts";

/** Thrown for a text that is not what it should be. */
export class WalkFault extends Error {}

/** The places of an object's members, and the place behind it. */
export interface WalkedObject {
  readonly members: ReadonlyMap<string, Span>;
  readonly end: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** Bytes that are scanned at once. */
const STEP = 16 * 1024;
/** To scan is so much cheaper than to read. */
const STEP_COST = STEP / 8;
const MAX_NAME_BYTES = 1024;
const MAX_MEMBERS = 256;
const MAX_SPACE = 64 * 1024;

/** @throws {WalkFault} if there is no object, or one with a name twice */
export async function walkObject(text: Buffer, from: number, slices: Slices): Promise<WalkedObject> {
  const members = new Map<string, Span>();
  let at = skipSpace(text, from);
  if (text[at] !== OPEN_OBJECT) throw new WalkFault();
  at = skipSpace(text, at + 1);
  if (text[at] === CLOSE_OBJECT) return { members, end: at + 1 };
  for (;;) {
    const nameEnd = await valueEnd(text, at, slices);
    const name = nameAt(text, { start: at, end: nameEnd });
    if (members.has(name) || members.size >= MAX_MEMBERS) throw new WalkFault();
    at = skipSpace(text, nameEnd);
    if (text[at] !== COLON) throw new WalkFault();
    const start = skipSpace(text, at + 1);
    const end = await valueEnd(text, start, slices);
    members.set(name, { start, end });
    at = skipSpace(text, end);
    if (text[at] === CLOSE_OBJECT) return { members, end: at + 1 };
    if (text[at] !== COMMA) throw new WalkFault();
    at = skipSpace(text, at + 1);
  }
}

/** Visits the items of an array in order; each counts as work by its bytes. @throws {WalkFault} if there is no array */
export async function walkItems(
  { text, slices }: { readonly text: Buffer; readonly slices: Slices },
  from: number,
  visit: (item: Buffer) => void,
): Promise<void> {
  let at = skipSpace(text, from);
  if (text[at] !== OPEN_ARRAY) throw new WalkFault();
  at = skipSpace(text, at + 1);
  if (text[at] === CLOSE_ARRAY) return;
  for (;;) {
    const end = await valueEnd(text, at, slices);
    visit(text.subarray(at, end));
    const pause = slices.spend(end - at);
    if (pause !== null) await pause;
    at = skipSpace(text, end);
    if (text[at] === CLOSE_ARRAY) return;
    if (text[at] !== COMMA) throw new WalkFault();
    at = skipSpace(text, at + 1);
  }
}

/** The place of the first byte that is no space. @throws {WalkFault} behind more space than anybody writes */
export function skipSpace(text: Buffer, from: number): number {
  let at = from;
  for (let byte = text[at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; byte = text[at]) at += 1;
  if (at - from > MAX_SPACE) throw new WalkFault();
  return at;
}

function nameAt(text: Buffer, { start, end }: Span): string {
  if (text[start] !== QUOTE || end - start > MAX_NAME_BYTES) throw new WalkFault();
  try {
    return readString({ text, at: start, escaped: false });
  } catch {
    throw new WalkFault();
  }
}

/** A value that is being scanned: brackets that are open, and whether a string is. */
interface Scan {
  readonly text: Buffer;
  at: number;
  depth: number;
  isString: boolean;
}

/** The place behind the value that begins at `from`: brackets are counted, strings skipped, nothing else is looked at. */
async function valueEnd(text: Buffer, from: number, slices: Slices): Promise<number> {
  const scan: Scan = { text, at: from, depth: 0, isString: false };
  while (!scanOn(scan)) {
    const pause = slices.spend(STEP_COST);
    if (pause !== null) await pause;
  }
  if (scan.at === from) throw new WalkFault();
  return scan.at;
}

/** True at the end of the value, false after a step. */
function scanOn(scan: Scan): boolean {
  const { text } = scan;
  const stop = Math.min(text.length, scan.at + STEP);
  while (scan.at < stop) {
    const byte = text[scan.at] ?? 0;
    if (scan.isString ? inString(scan, byte) : between(scan, byte)) return true;
  }
  if (scan.at >= text.length) throw new WalkFault();
  return false;
}

function inString(scan: Scan, byte: number): boolean {
  scan.at += byte === BACKSLASH ? 2 : 1;
  if (byte !== QUOTE) return false;
  scan.isString = false;
  return scan.depth === 0;
}

function between(scan: Scan, byte: number): boolean {
  if (byte === QUOTE) scan.isString = true;
  else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) scan.depth += 1;
  else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
    if (scan.depth === 0) return true; // of what the value stands in
    scan.depth -= 1;
    scan.at += 1;
    return scan.depth === 0;
  } else if (scan.depth === 0 && (byte === COMMA || byte === COLON || byte <= 0x20)) return true;
  scan.at += 1;
  return false;
}
