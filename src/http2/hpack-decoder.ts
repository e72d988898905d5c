// Header blocks to fields (RFC 7541): integers, strings, the static and the dynamic table. Pure.
import { ConnectionFault, ERROR } from "./fault.ts";
import { huffmanText } from "./huffman.ts";
import { STATIC_TABLE } from "./static-table.ts";

/** One field of a header block, as latin1 text. */
export interface Field {
  readonly name: string;
  readonly value: string;
}

/** SETTINGS_HEADER_TABLE_SIZE: the default, which we do not change. */
const TABLE_BYTES = 4096;
/** What an entry counts beyond its text (RFC 7541 §4.1). */
export const FIELD_OVERHEAD = 32;
/** No number of ours is longer: an index or a length below 2^28. */
const MAX_CONTINUED = 4;

const STATIC: readonly Field[] = STATIC_TABLE.map(([name, value]) => ({ name, value }));

/** One per connection: it keeps the dynamic table. After a fault its state is no longer the peer's: the connection must end. */
export class HpackDecoder {
  /** The newest entry last. */
  readonly #dynamic: Field[] = [];
  #dynamicBytes = 0;
  #maxBytes = TABLE_BYTES;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  /**
   * Hands each field of a whole block on.
   * @throws {ConnectionFault} `compression` for what is no header block
   */
  decode(bytes: Buffer, { start, end }: { start: number; end: number }, onField: (field: Field) => void): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    let maySize = true;
    while (this.#at < this.#end) {
      const first = bytes[this.#at] ?? 0;
      if ((first & 0xe0) === 0x20) {
        if (!maySize) throw fault("a table size in the midst of a block");
        this.#resize(this.#integer(5));
        continue;
      }
      maySize = false;
      onField(this.#field(first));
    }
    this.#bytes = EMPTY;
  }

  #field(first: number): Field {
    if ((first & 0x80) !== 0) return this.#entry(this.#integer(7));
    if ((first & 0x40) === 0) return this.#literal(4);
    const field = this.#literal(6);
    this.#insert(field);
    return field;
  }

  #literal(prefixBits: number): Field {
    const index = this.#integer(prefixBits);
    const name = index === 0 ? this.#string() : this.#entry(index).name;
    return { name, value: this.#string() };
  }

  #entry(index: number): Field {
    const entry =
      index <= STATIC.length ? STATIC[index - 1] : this.#dynamic[this.#dynamic.length - (index - STATIC.length)];
    if (entry === undefined) throw fault("an index without an entry");
    return entry;
  }

  /** Evicts before it adds; an entry above the table's size empties it (RFC 7541 §4.4). */
  #insert(field: Field): void {
    const bytes = sizeOf(field);
    this.#evict(this.#maxBytes - bytes);
    if (bytes > this.#maxBytes) return;
    this.#dynamic.push(field);
    this.#dynamicBytes += bytes;
  }

  #resize(bytes: number): void {
    if (bytes > TABLE_BYTES) throw fault("a table above SETTINGS_HEADER_TABLE_SIZE");
    this.#maxBytes = bytes;
    this.#evict(bytes);
  }

  #evict(toBytes: number): void {
    let gone = 0;
    while (this.#dynamicBytes > toBytes && gone < this.#dynamic.length) {
      this.#dynamicBytes -= sizeOf(this.#dynamic[gone] as Field);
      gone += 1;
    }
    if (gone > 0) this.#dynamic.splice(0, gone);
  }

  /** RFC 7541 §5.1. */
  #integer(prefixBits: number): number {
    const most = (1 << prefixBits) - 1;
    let value = this.#byte() & most;
    if (value < most) return value;
    for (let shift = 0; shift < MAX_CONTINUED * 7; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw fault("a number above 2^28");
  }

  /** RFC 7541 §5.2. */
  #string(): string {
    const isHuffman = ((this.#bytes[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const start = this.#at;
    const end = start + length;
    if (end > this.#end) throw fault("a text beyond the block");
    this.#at = end;
    return isHuffman ? huffmanText(this.#bytes, start, end) : this.#bytes.toString("latin1", start, end);
  }

  #byte(): number {
    if (this.#at >= this.#end) throw fault("a block that ends in the midst of a field");
    return this.#bytes[this.#at++] ?? 0;
  }
}

const EMPTY: Buffer = Buffer.alloc(0);
const sizeOf = ({ name, value }: Field) => name.length + value.length + FIELD_OVERHEAD;
const fault = (message: string) => new ConnectionFault(ERROR.compression, message);
