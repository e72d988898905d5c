// The protobuf wire format: a reader and a writer of fields. Pure. https://protobuf.dev/programming-guides/encoding
import { isAscii, isUtf8 } from "node:buffer";

/** The bytes are not a valid message. Thrown and caught inside src/envoy only. */
export class WireFault extends Error {}

const VARINT = 0;
const I64 = 1;
const LEN = 2;
const I32 = 5;
const MAX_FIELD = 536_870_911;
/** Up to this many bytes a loop is faster than a call into Node's native functions. */
const SHORT = 64;

/**
 * Walks the fields of one message. `enter` narrows the reader to an embedded message, `leave` widens it again. Only
 * strings are copied.
 */
export class FieldReader {
  readonly bytes: Buffer;
  #end: number;
  #at = 0;
  #wireType = 0;
  /** Number of the field that {@link next} stopped at. */
  field = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.#end = bytes.length;
  }

  /** Offset of the next byte; after {@link span}, the end of that field. */
  get at(): number {
    return this.#at;
  }

  /** Goes to the next field; false at the end of the message. */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    const tag = this.#varint();
    this.#wireType = tag & 7;
    this.field = tag < 0x80 ? tag >> 3 : Math.floor(tag / 8);
    if (this.field < 1 || this.field > MAX_FIELD) throw new WireFault("field number");
    return true;
  }

  /** Goes into an embedded message. @returns what {@link leave} needs */
  enter(): number {
    const start = this.span();
    const outer = this.#end;
    this.#end = this.#at;
    this.#at = start;
    return outer;
  }

  /** Goes on after the embedded message, read to its end or not. */
  leave(outer: number): void {
    this.#at = this.#end;
    this.#end = outer;
  }

  /** Passes over a string, bytes or a message. @returns its start; its end is {@link at} */
  span(): number {
    this.#expect(LEN);
    const length = this.#varint();
    const start = this.#at;
    this.#advance(length);
    return start;
  }

  bytesField(): Buffer {
    const start = this.span();
    return this.bytes.subarray(start, this.#at);
  }

  string(): string {
    const start = this.span();
    return textAt(this.bytes, start, this.#at);
  }

  /** True if the string at the cursor is exactly this text. */
  equals(text: string): boolean {
    const start = this.span();
    const { length } = text;
    // As many bytes as UTF-16 units: then both are ASCII, or they differ.
    if (this.#at - start !== length || length > SHORT) return this.bytes.toString("utf8", start, this.#at) === text;
    for (let i = 0; i < length; i += 1) {
      const byte = this.bytes[start + i] ?? 0x80;
      if (byte >= 0x80 || byte !== text.charCodeAt(i)) return false;
    }
    return true;
  }

  /** Goes behind these bytes if they are what follows the tag of a string; false, and nothing is read, otherwise. */
  takes(expected: Uint8Array): boolean {
    if (this.#wireType !== LEN) return false;
    const end = this.#at + expected.length;
    if (end > this.#end || this.bytes.compare(expected, 0, expected.length, this.#at, end) !== 0) return false;
    this.#at = end;
    return true;
  }

  int32(): number {
    return this.int64() | 0;
  }

  /** A 64-bit varint as a number; beyond ±2^53 it loses precision, which no field that we read needs. */
  int64(): number {
    this.#expect(VARINT);
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      if (shift === 28) high |= bits >> 4;
      else if (shift > 28) high |= bits << (shift - 32);
      if (byte < 0x80) return high * 2 ** 32 + (low >>> 0);
    }
    throw new WireFault("varint too long");
  }

  double(): number {
    this.#expect(I64);
    const start = this.#at;
    this.#advance(8);
    return this.bytes.readDoubleLE(start);
  }

  skip(): void {
    if (this.#wireType === VARINT) this.int64();
    else if (this.#wireType === LEN) this.span();
    else if (this.#wireType === I64) this.#advance(8);
    else if (this.#wireType === I32) this.#advance(4);
    else throw new WireFault("wire type");
  }

  #expect(wireType: number): void {
    if (this.#wireType !== wireType) throw new WireFault(`wire type of field ${this.field}`);
  }

  #advance(count: number): void {
    this.#at += count;
    if (this.#at > this.#end) throw new WireFault("truncated");
  }

  #byte(): number {
    const byte = this.#at < this.#end ? this.bytes[this.#at] : undefined;
    if (byte === undefined) throw new WireFault("truncated");
    this.#at += 1;
    return byte;
  }

  /** A varint of at most 32 significant bits: tags and lengths. */
  #varint(): number {
    let byte = this.#byte();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let shift = 7; shift < 35; shift += 7) {
      byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new WireFault("varint too long");
  }
}

/**
 * Marks a singular field as read. Of two copies some readers take the last, others merge or skip.
 * @param seen the fields of this message that were read, a bit each
 * @throws {WireFault} for a field that was read before
 */
export function once(seen: number, field: number): number {
  const bit = 1 << field;
  if ((seen & bit) !== 0) throw new WireFault("a singular field comes twice");
  return seen | bit;
}

/** @throws {WireFault} for bytes that are not UTF-8: Buffer.toString would replace them silently */
export function textAt(bytes: Buffer, start: number, end: number): string {
  checkText(bytes, start, end);
  return bytes.toString("utf8", start, end);
}

/** @throws {WireFault} for bytes that are not UTF-8 */
export function checkText(bytes: Buffer, start: number, end: number): void {
  if (end - start <= SHORT) {
    let at = start;
    while (at < end && (bytes[at] ?? 0x80) < 0x80) at += 1;
    if (at === end) return;
  }
  const slice = bytes.subarray(start, end);
  if (!isAscii(slice) && !isUtf8(slice)) throw new WireFault("a string is not UTF-8");
}

/**
 * Writes one message from its end to its beginning, so the caller writes fields in reverse order: the content of an
 * embedded message is there before its length is needed. Nothing is measured or copied twice.
 */
export class BackwardWriter {
  #bytes: Buffer;
  #at: number;

  constructor(capacity = 1024) {
    this.#bytes = Buffer.allocUnsafe(capacity);
    this.#at = capacity;
  }

  /** The bytes of the message that was written. */
  finish(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  /** The position, for {@link message}; counted from the end, so that it holds when the buffer grows. */
  mark(): number {
    return this.#bytes.length - this.#at;
  }

  /** Makes what was written since the mark an embedded message. */
  message(field: number, mark: number): void {
    this.#length(field, this.mark() - mark);
  }

  /** @param value not negative */
  int32(field: number, value: number): void {
    this.#varint(value);
    this.#varint(field * 8 + VARINT);
  }

  /** Fields that are written already. */
  raw(fields: Buffer): void {
    this.#reserve(fields.length);
    this.#at -= fields.length;
    fields.copy(this.#bytes, this.#at);
  }

  double(field: number, value: number): void {
    this.#reserve(8);
    this.#at -= 8;
    this.#bytes.writeDoubleLE(value, this.#at);
    this.#varint(field * 8 + I64);
  }

  /** Text that is well-formed. */
  string(field: number, value: string): void {
    const length = this.#ascii(value) ? value.length : this.#text(value);
    this.#length(field, length);
  }

  #length(field: number, length: number): void {
    this.#varint(length);
    this.#varint(field * 8 + LEN);
  }

  /** Writes a short text of ASCII; false, and nothing written, for any other. */
  #ascii(value: string): boolean {
    const { length } = value;
    if (length > SHORT) return false;
    this.#reserve(length);
    const start = this.#at - length;
    for (let i = 0; i < length; i += 1) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) return false;
      this.#bytes[start + i] = code;
    }
    this.#at = start;
    return true;
  }

  #text(value: string): number {
    const length = Buffer.byteLength(value);
    this.#reserve(length);
    this.#at -= length;
    this.#bytes.write(value, this.#at);
    return length;
  }

  /** @param value a non-negative safe integer */
  #varint(value: number): void {
    let size = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
    this.#reserve(size);
    this.#at -= size;
    let rest = value;
    for (let i = 0; i < size - 1; i += 1) {
      this.#bytes[this.#at + i] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at + size - 1] = rest;
  }

  #reserve(count: number): void {
    if (this.#at >= count) return;
    const written = this.mark();
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, written + count + 64));
    this.#bytes.copy(larger, larger.length - written, this.#at);
    this.#bytes = larger;
    this.#at = larger.length - written;
  }
}
