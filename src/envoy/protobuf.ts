import { isUtf8 } from "node:buffer";

/** Bytes that are not the message they should be. Thrown and caught inside src/envoy only. */
export class WireFault extends Error {}

const VARINT = 0;
const I64 = 1;
const LEN = 2;
const I32 = 5;
const MAX_FIELD = 536_870_911;

/** Walks the fields of one protobuf message (protobuf.dev/programming-guides/encoding). No copies but for strings. */
export class FieldReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;
  /** Number of the field that {@link next} stopped at. */
  field = 0;
  #wireType = 0;

  constructor(bytes: Buffer, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Goes to the next field; false at the end of the message. */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    const tag = this.#varint();
    this.#wireType = tag % 8;
    this.field = Math.floor(tag / 8);
    if (this.field < 1 || this.field > MAX_FIELD) throw new WireFault("field number");
    return true;
  }

  /** A 64-bit varint as a number; what is beyond ±2^53 loses precision, which no field of ours needs. */
  int64(): number {
    this.#expect(VARINT);
    return Number(BigInt.asIntN(64, this.#varint64()));
  }

  int32(): number {
    return this.int64() | 0;
  }

  bytes(): Buffer {
    const [start, end] = this.#span();
    return this.#bytes.subarray(start, end);
  }

  string(): string {
    const [start, end] = this.#span();
    const slice = this.#bytes.subarray(start, end);
    if (!isUtf8(slice)) throw new WireFault("a string is not UTF-8");
    return slice.toString("utf8");
  }

  message(): FieldReader {
    const [start, end] = this.#span();
    return new FieldReader(this.#bytes, start, end);
  }

  skip(): void {
    if (this.#wireType === VARINT) this.#varint64();
    else if (this.#wireType === LEN) this.#span();
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

  #span(): [number, number] {
    this.#expect(LEN);
    const length = this.#varint();
    const start = this.#at;
    this.#advance(length);
    return [start, this.#at];
  }

  /** A varint of at most 32 significant bits: tags and lengths. */
  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#at < this.#end ? this.#bytes[this.#at] : undefined;
      if (byte === undefined) throw new WireFault("truncated");
      this.#at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new WireFault("varint too long");
  }

  #varint64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#at < this.#end ? this.#bytes[this.#at] : undefined;
      if (byte === undefined) throw new WireFault("truncated");
      this.#at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new WireFault("varint too long");
  }
}

/** Writes one protobuf message into a growing buffer. */
export class FieldWriter {
  #bytes: Buffer;
  #at = 0;

  constructor(capacity = 512) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  /** A view of what was written; valid until the next write. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  int32(field: number, value: number): void {
    this.#tag(field, VARINT);
    this.#varint(value);
  }

  string(field: number, value: string): void {
    const length = Buffer.byteLength(value);
    this.#tag(field, LEN);
    this.#varint(length);
    this.#reserve(length);
    this.#bytes.write(value, this.#at);
    this.#at += length;
  }

  bytes(field: number, value: Uint8Array): void {
    this.#tag(field, LEN);
    this.#varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  #tag(field: number, wireType: number): void {
    this.#varint(field * 8 + wireType);
  }

  /** @param value a non-negative safe integer */
  #varint(value: number): void {
    this.#reserve(10);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at] = (rest % 0x80) + 0x80;
      this.#at += 1;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at] = rest;
    this.#at += 1;
  }

  #reserve(count: number): void {
    if (this.#at + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + count));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}
