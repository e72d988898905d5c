// Parses and writes event streams (WHATWG HTML §9.2, Server-sent events): bytes in, bytes out, bounded. Pure.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
import { createByteCollector, type ByteCollector } from "../../http/byte-collector.ts";
import { HttpFault } from "../../http/fault.ts";

/** An event with data; others are skipped. */
export interface StreamEvent {
  /** `message` where the stream gives none. */
  readonly type: string;
  /** Empty for an event that was taken over. */
  readonly data: Buffer;
  /** The last id that the stream has given, here or before; null for none. */
  readonly id: string | null;
  /** True if its data was taken over before it was complete. */
  readonly isTaken?: boolean;
}

/** Receives the data of an event as it comes. */
export type DataSink = (part: Buffer) => void;

export interface EventParser {
  /** Bytes of the event that is not complete yet. */
  readonly length: number;
  /** The last id that the stream has given, also with an event that had no data; null for none. */
  readonly lastEventId: string | null;
  /** Milliseconds after which the stream wants to be asked for again once it has ended; null if it did not say. */
  readonly retryMs: number | null;
  /** The events that are complete with this chunk. @throws {HttpFault} `too_large` */
  push(chunk: Buffer): StreamEvent[];
  /**
   * Takes over the event that is not complete yet: `decide` gets its data so far and returns what receives the rest, or null
   * to go on as before.
   */
  takeOver(decide: (data: Buffer) => DataSink | null): void;
  /** The last event, if the stream ended without the empty line behind it. */
  end(): StreamEvent[];
}

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;
/** The first letters of `data`, `event`, `id` and `retry`. */
const LETTERS: readonly number[] = [0x64, 0x65, 0x69, 0x72];
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const NEWLINE = Buffer.from("\n");
const NOTHING = Buffer.alloc(0);
const DATA_FIELD = Buffer.from("data:");
/** A data line is taken apart before its end once so much of it has come. */
const LONG_LINE = 1024;
/** Longer than each field name and type that has a meaning here. */
const MAX_FIELD_NAME = 8;
const MAX_TYPE = 64;
/** Ids go on in a header of a client's, sealed. */
const MAX_ID = 1024;

/**
 * Parses an event stream chunk by chunk: lines end with CRLF, LF or CR, comments and unknown fields are skipped, several
 * `data` lines are joined. Only the incomplete event is kept.
 * @param maxBytes of one event's data, and of one line
 */
export function createEventParser(maxBytes: number): EventParser {
  return new LineByLineParser(maxBytes);
}

class LineByLineParser implements EventParser {
  /** The beginning of an incomplete line. */
  readonly #held: ByteCollector;
  readonly #data: ByteCollector;
  readonly #maxBytes: number;
  #found: StreamEvent[] = [];
  #hasData = false;
  #type = "";
  /** The id of the event that is not complete yet. */
  #id: string | null = null;
  #isFirst = true;
  #afterCr = false;
  lastEventId: string | null = null;
  retryMs: number | null = null;
  /** Bytes so far of a long data line whose end has not come; null for none. */
  #longLine: number | null = null;
  #sink: DataSink | null = null;
  /** Bytes that the sink has received. */
  #taken = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#held = createByteCollector(maxBytes);
    this.#data = createByteCollector(maxBytes);
  }

  get length(): number {
    return this.#held.length + this.#data.length;
  }

  push(chunk: Buffer): StreamEvent[] {
    const endFrom = lineEnds(chunk);
    let at = this.#longLine === null ? 0 : this.#goOnLongLine(chunk, endFrom(0));
    while (at < chunk.length) {
      const isRestOfCrLf = this.#afterCr && chunk[at] === LF;
      this.#afterCr = false;
      const end = isRestOfCrLf ? at : endFrom(at);
      if (end === -1) break;
      if (!isRestOfCrLf && !this.#isSkipped(chunk, at, end)) this.#line(chunk.subarray(at, end));
      this.#afterCr = chunk[end] === CR;
      at = end + 1;
    }
    if (at < chunk.length) this.#keep(chunk.subarray(at));
    return this.#take();
  }

  takeOver(decide: (data: Buffer) => DataSink | null): void {
    const data = this.#data.take();
    this.#sink = decide(data);
    if (this.#sink === null) this.#data.push(data);
    else this.#taken = data.length;
  }

  end(): StreamEvent[] {
    if (this.#held.length > 0) this.#line(NOTHING);
    this.#longLine = null;
    this.#dispatch();
    return this.#take();
  }

  /** True for a comment, an unknown field, or an empty line without an event: a chunk can hold thousands. */
  #isSkipped(chunk: Buffer, at: number, end: number): boolean {
    if (this.#isFirst || this.#held.length > 0) return false;
    if (at === end) return !this.#hasData && this.#type === "" && this.#id === this.lastEventId;
    return !LETTERS.includes(chunk[at] ?? 0);
  }

  /** Keeps the beginning of a line; that of a long data line goes to the data at once. */
  #keep(part: Buffer): void {
    const isLooked = this.#held.length >= LONG_LINE;
    this.#held.push(part);
    if (isLooked || this.#held.length < LONG_LINE) return;
    const line = this.#held.take();
    const field = this.#isFirst && line.subarray(0, 3).equals(BOM) ? line.subarray(3) : line;
    if (field.subarray(0, DATA_FIELD.length).equals(DATA_FIELD)) {
      this.#isFirst = false;
      this.#longLine = line.length;
      this.#field(field);
    } else this.#held.push(line);
  }

  /** Returns the place behind the end of the long line, or behind the chunk. @param end of the line; −1 for none */
  #goOnLongLine(chunk: Buffer, end: number): number {
    const part = end === -1 ? chunk : chunk.subarray(0, end);
    this.#longLine = (this.#longLine ?? 0) + part.length;
    if (this.#longLine > this.#maxBytes) throw new HttpFault("too_large");
    this.#add(part);
    if (end === -1) return chunk.length;
    this.#longLine = null;
    this.#afterCr = chunk[end] === CR;
    return end + 1;
  }

  #add(part: Buffer): void {
    if (this.#sink === null) {
      this.#data.push(part);
      return;
    }
    this.#taken += part.length;
    if (this.#taken > this.#maxBytes) throw new HttpFault("too_large");
    this.#sink(part);
  }

  #line(part: Buffer): void {
    let whole = part;
    if (this.#held.length > 0) {
      this.#held.push(part);
      whole = this.#held.take();
    }
    // A line within one chunk was not collected: the limit must not depend on how a stream is cut.
    if (whole.length > this.#maxBytes) throw new HttpFault("too_large");
    if (this.#isFirst && whole.subarray(0, 3).equals(BOM)) whole = whole.subarray(3);
    this.#isFirst = false;
    if (whole.length === 0) this.#dispatch();
    else this.#field(whole);
  }

  #field(line: Buffer): void {
    const colon = line.indexOf(COLON);
    const name = line.toString("latin1", 0, colon === -1 ? line.length : Math.min(colon, MAX_FIELD_NAME));
    const start = colon === -1 ? line.length : colon + (line[colon + 1] === SPACE ? 2 : 1);
    if (name === "event") this.#type = line.toString("latin1", start, start + MAX_TYPE);
    if (name === "id") this.#takeId(line.subarray(start));
    if (name === "retry") this.#takeRetry(line.toString("latin1", start, start + MAX_TYPE));
    if (name !== "data") return;
    if (this.#hasData) this.#add(NEWLINE);
    this.#add(line.subarray(start));
    this.#hasData = true;
  }

  /** One with NUL is ignored; one that cannot stand in a header, or is too long, is none: the stream cannot be resumed there. */
  #takeId(bytes: Buffer): void {
    if (bytes.includes(0)) return;
    const id = bytes.toString("latin1");
    this.#id = /^[\x21-\x7e]+$/.test(id) && id.length <= MAX_ID ? id : null;
  }

  #takeRetry(digits: string): void {
    if (/^\d{1,9}$/.test(digits)) this.retryMs = Number(digits);
  }

  #dispatch(): void {
    this.lastEventId = this.#id;
    const type = this.#type === "" ? "message" : this.#type;
    const id = this.#id;
    if (this.#sink !== null) this.#found.push({ type, data: NOTHING, id, isTaken: true });
    else if (this.#data.length > 0) this.#found.push({ type, data: this.#data.take(), id });
    this.#sink = null;
    this.#hasData = false;
    this.#type = "";
  }

  #take(): StreamEvent[] {
    const found = this.#found;
    this.#found = [];
    return found;
  }
}

/** Finds the next CR or LF. No byte is searched twice: a chunk can hold thousands of lines. */
function lineEnds(chunk: Buffer): (from: number) => number {
  const next = { cr: chunk.indexOf(CR), lf: chunk.indexOf(LF) };
  return (from) => {
    if (next.cr !== -1 && next.cr < from) next.cr = chunk.indexOf(CR, from);
    if (next.lf !== -1 && next.lf < from) next.lf = chunk.indexOf(LF, from);
    const { cr, lf } = next;
    return cr === -1 || (lf !== -1 && lf < cr) ? lf : cr;
  };
}

/** Around the data of an event. */
export const HEAD = Buffer.from("event: message\ndata: ");
export const TAIL = Buffer.from("\n\n");

/**
 * A message as an event of one `data` line. In JSON, line ends stand between tokens only (RFC 8259 §2, §7) and become spaces:
 * a `data` line for each could take a hundred times the bytes. Only parts with line ends are copied.
 */
export function eventOf(json: readonly Uint8Array[]): Uint8Array[] {
  return [HEAD, ...json.map(inOneLine), TAIL];
}

/** A part of a JSON text, with spaces for its line ends. */
export function inOneLine(part: Uint8Array): Uint8Array {
  return part.includes(LF) || part.includes(CR) ? withoutLines(part) : part;
}

function withoutLines(part: Uint8Array): Uint8Array {
  const copy = Uint8Array.prototype.slice.call(part); // a plain loop: `map` takes ten times as long for a large one
  for (let at = 0; at < copy.length; at += 1) if (copy[at] === LF || copy[at] === CR) copy[at] = SPACE;
  return copy;
}
