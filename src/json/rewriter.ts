// Passes a JSON text on as it comes, checks its whole grammar, and edits it at a few places: bytes in, bytes out. Pure.
// What two parsers could read differently at these places is a fault; nothing is held but one token that is edited.
import { isUtf8 } from "node:buffer";
import type { Place } from "./places.ts";
import * as table from "./rewrite-table.ts";
import { foldName } from "./strict-name.ts";
import { readString } from "./strict-string.ts";

/** The text is not JSON, or two parsers could read it differently at a place that is edited. */
export class RewriteFault extends Error {}

export interface Rewriter {
  /** The bytes that may go on. @throws {RewriteFault} and whatever a place throws */
  push(chunk: Buffer): Buffer[];
  /** The last bytes: until the text is complete, its last bracket is kept back. @throws {RewriteFault} */
  end(): Buffer[];
}

const EMPTY: Buffer = Buffer.alloc(0);
const CLOSE_ARRAY = 0x5d;
const CLOSE_OBJECT = 0x7d;
/** Nested arrays and objects: as in scan.ts. */
const MAX_DEPTH = 256;
/** Of one object with places: as in spans.ts. */
const MAX_MEMBERS = 10_000;
/** Bytes of one token that is looked at, and of all names of one object with places. */
const MAX_TOKEN_BYTES = 1024 * 1024;
const MAX_NUMBER_BYTES = 16 * 1024;
/** Spaces behind the text. */
const MAX_TAIL_BYTES = 64 * 1024;

/** Rewrites a text by its places. */
export function createRewriter(root: Place): Rewriter {
  return new ByteRewriter(root);
}

/** Rewrites a whole text. @throws {RewriteFault} */
export function rewrite(text: Buffer, root: Place): Buffer[] {
  const rewriter = createRewriter(root);
  return [...rewriter.push(text), ...rewriter.end()];
}

/** The names of an object with places. */
interface Names {
  readonly seen: Set<string>;
  bytes: number;
}

/** An open array or object. */
interface Frame {
  readonly place: Place | null;
  readonly names: Names | null;
  readonly closer: number;
}

class ByteRewriter implements Rewriter {
  readonly #open: Frame[] = [];
  /** The innermost of the open ones. */
  #frame: Frame | null = null;
  /** The place of the next value. */
  #next: Place | null;
  #state = table.VALUE;
  #isName = false;
  #chunk: Buffer = EMPTY;
  #out: Buffer[] = [];
  /** The first byte of the chunk that has not gone on. */
  #from = 0;
  /** The start in this chunk of a token that is looked at; −1 for none. */
  #token = -1;
  /** True if the token does not go on before it is complete. */
  #isKept = false;
  readonly #earlier = new Collector(MAX_TOKEN_BYTES);
  readonly #tail = new Collector(MAX_TAIL_BYTES);
  /** Bytes of the number so far that came in earlier chunks, less the start in this one. */
  #numberBefore = 0;
  #utf8: Buffer = EMPTY;

  constructor(root: Place) {
    this.#next = root;
  }

  push(chunk: Buffer): Buffer[] {
    this.#checkUtf8(chunk);
    this.#chunk = chunk;
    this.#from = 0;
    this.#token = this.#token === -1 ? -1 : 0;
    this.#out = [];
    this.#scan();
    this.#suspend();
    return this.#out;
  }

  end(): Buffer[] {
    if (this.#state !== table.DONE || this.#utf8.length > 0) throw new RewriteFault("ends early");
    return [this.#tail.take()];
  }

  #scan(): void {
    const chunk = this.#chunk;
    const { length } = chunk;
    const { PLAIN, TABLE, STRING, FAULT, SCALAR, VALUE_OR_END } = table; // once: the loop below is hot
    let at = 0;
    while (at < length) {
      if (this.#state === STRING) {
        while (at < length && PLAIN[chunk[at] ?? 0] === 1) at += 1;
        if (at === length) return;
      }
      const next = TABLE[(this.#state << 8) | (chunk[at] ?? 0)] ?? FAULT;
      if (next < FAULT) {
        if (next >= SCALAR && this.#state <= VALUE_OR_END) this.#scalarBegins(at);
        this.#state = next;
        at += 1;
      } else at = this.#act(next, at);
    }
  }

  /** Does what a byte asks for; returns the place of the next byte. */
  #act(action: number, at: number): number {
    if (action === table.END_NUMBER) {
      if (at + this.#numberBefore > MAX_NUMBER_BYTES) throw new RewriteFault("a number is too long");
      this.#scalarEnds(at);
      return at;
    }
    if (action === table.BEGIN_NAME || action === table.BEGIN_STRING) this.#stringBegins(action, at);
    else if (action === table.END_STRING && this.#isName) this.#nameEnds(at + 1);
    else if (action === table.END_STRING || action === table.END_WORD) this.#scalarEnds(at + 1);
    else this.#structure(action, at);
    return at + 1;
  }

  #structure(action: number, at: number): void {
    if (action === table.COMMA) this.#commaAt();
    else if (action === table.CLOSE) this.#closes(at);
    else if (action === table.FAULT) throw new RewriteFault("not JSON");
    else this.#opens(action === table.OPEN_OBJECT);
  }

  #stringBegins(action: number, at: number): void {
    this.#state = table.STRING;
    this.#isName = action === table.BEGIN_NAME;
    if (!this.#isName) this.#scalarBegins(at);
    else if (this.#frame !== null && this.#frame.names !== null) this.#look(at, false);
  }

  #opens(isObject: boolean): void {
    const place = this.#next;
    if (this.#open.length >= MAX_DEPTH) throw new RewriteFault("nested too deep");
    if (place !== null) checkKind(place, isObject);
    const names = isObject && needsNames(place) ? { seen: new Set<string>(), bytes: 0 } : null;
    this.#frame = { place, names, closer: isObject ? CLOSE_OBJECT : CLOSE_ARRAY };
    this.#open.push(this.#frame);
    this.#next = isObject ? null : (place?.items ?? null);
    this.#state = isObject ? table.NAME_OR_END : table.VALUE_OR_END;
  }

  #closes(at: number): void {
    const frame = this.#open.pop();
    if (frame === undefined || frame.closer !== this.#chunk[at]) throw new RewriteFault("not JSON");
    if (frame.names !== null && frame.place?.close !== undefined) {
      const added = frame.place.close(frame.names.seen);
      if (added !== "") this.#insert(at, (frame.names.seen.size > 0 ? "," : "") + added);
    }
    this.#frame = this.#open.at(-1) ?? null;
    this.#state = table.COMMA_OR_END;
    if (this.#frame !== null) return;
    this.#state = table.DONE;
    this.#pass(at);
  }

  #commaAt(): void {
    const isObject = this.#frame?.closer === CLOSE_OBJECT;
    this.#state = isObject ? table.NAME : table.VALUE;
    this.#next = isObject ? null : (this.#frame?.place?.items ?? null);
  }

  #scalarBegins(at: number): void {
    this.#numberBefore = -at;
    if (this.#next?.mustBeObject === true) throw new RewriteFault("no object");
    if (this.#next?.scalar !== undefined) this.#look(at, true);
  }

  #scalarEnds(end: number): void {
    this.#state = table.COMMA_OR_END;
    if (this.#token === -1) return;
    const text = this.#seen(end);
    const edited = this.#guarded(() => this.#next?.scalar?.(text) ?? null);
    this.#out.push(edited === null ? text : typeof edited === "string" ? Buffer.from(edited) : edited);
    this.#from = end;
  }

  #nameEnds(end: number): void {
    this.#state = table.NEXT_COLON;
    this.#next = null;
    const { place, names } = this.#frame ?? { place: null, names: null };
    if (place === null || names === null) return;
    const text = this.#seen(end);
    const name = this.#guarded(() => readString({ text, at: 0, escaped: false }));
    names.bytes += text.length;
    const isMany = names.seen.size >= MAX_MEMBERS || names.bytes > MAX_TOKEN_BYTES;
    if (isMany || names.seen.has(name) || place.only?.has(name) === false) throw new RewriteFault("names");
    names.seen.add(name);
    this.#next = place.members?.get(foldName(name)) ?? null;
  }

  #guarded<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw error instanceof SyntaxError ? new RewriteFault(error.message) : error;
    }
  }

  /** Begins to look at a token. */
  #look(at: number, isKept: boolean): void {
    if (isKept) this.#pass(at);
    this.#token = at;
    this.#isKept = isKept;
  }

  /** The whole token that is looked at. */
  #seen(end: number): Buffer {
    const here = this.#chunk.subarray(this.#token, end);
    this.#token = -1;
    if (this.#earlier.length === 0) return here;
    this.#earlier.push(here);
    return this.#earlier.take();
  }

  /** Lets everything before `at` go on. */
  #pass(at: number): void {
    if (at > this.#from) this.#out.push(this.#chunk.subarray(this.#from, at));
    this.#from = at;
  }

  #insert(at: number, text: string): void {
    this.#pass(at);
    this.#out.push(Buffer.from(text));
  }

  /** The chunk is over. */
  #suspend(): void {
    const { length } = this.#chunk;
    this.#numberBefore += length;
    if (this.#state === table.DONE) this.#tail.push(this.#chunk.subarray(this.#from));
    else if (this.#token === -1) this.#pass(length);
    else {
      this.#earlier.push(this.#chunk.subarray(this.#token));
      if (!this.#isKept) this.#pass(length);
    }
  }

  /** A character may be cut by the end of a chunk. */
  #checkUtf8(chunk: Buffer): void {
    const whole = this.#utf8.length === 0 ? chunk : Buffer.concat([this.#utf8, chunk]);
    const rest = cutCharacter(whole);
    if (!isUtf8(rest === 0 ? whole : whole.subarray(0, -rest))) throw new RewriteFault("not UTF-8");
    this.#utf8 = rest === 0 ? EMPTY : Buffer.from(whole.subarray(-rest));
  }
}

/** Bytes at the end of a text that begin a character and do not complete it. */
function cutCharacter(text: Buffer): number {
  for (let back = 1; back <= Math.min(3, text.length); back += 1) {
    const byte = text[text.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const needed = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return needed > back ? back : 0;
  }
  return 0;
}

function checkKind({ mustBeObject, noScalar }: Place, isObject: boolean): void {
  if (mustBeObject === true && !isObject) throw new RewriteFault("no object");
  noScalar?.();
}

function needsNames(place: Place | null): boolean {
  return place !== null && (place.members ?? place.close ?? place.only) !== undefined;
}

/** Collects a few bytes, however many parts they come in. */
class Collector {
  readonly #max: number;
  #store: Buffer = EMPTY;
  length = 0;

  constructor(max: number) {
    this.#max = max;
  }

  push(part: Uint8Array): void {
    const length = this.length + part.length;
    if (length > this.#max) throw new RewriteFault("too long");
    if (length > this.#store.length) {
      const grown = Buffer.allocUnsafe(Math.max(64, 2 * length));
      this.#store.copy(grown, 0, 0, this.length);
      this.#store = grown;
    }
    this.#store.set(part, this.length);
    this.length = length;
  }

  take(): Buffer {
    const taken = this.#store.subarray(0, this.length);
    this.#store = EMPTY;
    this.length = 0;
    return taken;
  }
}
