// A hash table of digests and times in shared memory, with open addressing and linear probing. Pure.
import { hash, randomBytes } from "node:crypto";

/** 128 bits of SHA-256 over a salt and a name, as four words: a pair of names collides with a probability of 2^-128. */
export type Digest = readonly [number, number, number, number];

/** The salt (4 words), the flags (1 word), and padding to a multiple of 8 bytes. */
const HEADER_BYTES = 32;
const FLAGS = 4;
const SLOT_BYTES = 24;
/** Beyond this load factor linear probing gets slow. */
const MAX_LOAD = 0.75;
const TWO_TO_32 = 2 ** 32;

/** The number of slots for a number of entries. */
export function slotsFor(entries: number): number {
  return Math.ceil(entries / MAX_LOAD);
}

/**
 * Maps digests to times. A time is never 0: 0 marks a free slot. The memory is shared, so that it outlives the thread that
 * writes to it. The time is written last: a thread that is ended in between leaves the slot free.
 */
export class RevocationTable {
  readonly buffer: SharedArrayBuffer;
  readonly #header: Int32Array;
  readonly #keys: Int32Array;
  readonly #times: Float64Array;
  readonly #salt: string;
  #size = 0;

  private constructor(buffer: SharedArrayBuffer) {
    const slots = (buffer.byteLength - HEADER_BYTES) / SLOT_BYTES;
    this.buffer = buffer;
    this.#header = new Int32Array(buffer, 0, HEADER_BYTES / 4);
    this.#times = new Float64Array(buffer, HEADER_BYTES, slots);
    this.#keys = new Int32Array(buffer, HEADER_BYTES + slots * 8, slots * 4);
    this.#salt = Buffer.from(buffer).toString("hex", 0, 16);
  }

  /** @param like a table whose salt and flags the new one takes, so that digests are valid in both */
  static create(slots: number, like?: RevocationTable): RevocationTable {
    const buffer = new SharedArrayBuffer(HEADER_BYTES + slots * SLOT_BYTES);
    Buffer.from(buffer).set(like === undefined ? randomBytes(16) : Buffer.from(like.buffer, 0, HEADER_BYTES));
    return new RevocationTable(buffer);
  }

  /** Opens the memory of an earlier thread. */
  static open(buffer: SharedArrayBuffer): RevocationTable {
    const table = new RevocationTable(buffer);
    for (const time of table.#times) if (time !== 0) table.#size += 1;
    return table;
  }

  get size(): number {
    return this.#size;
  }

  get slots(): number {
    return this.#times.length;
  }

  /** One bit for the owner, stored with the entries. */
  get flag(): boolean {
    return this.#header[FLAGS] === 1;
  }

  setFlag(): void {
    this.#header[FLAGS] = 1;
  }

  /** True while another entry stays within the load factor. */
  hasRoom(): boolean {
    return this.#size < Math.floor(this.slots * MAX_LOAD);
  }

  digest(name: string): Digest {
    const bytes = hash("sha256", this.#salt + name, "binary"); // a quarter of the time that a Buffer takes
    return [wordAt(bytes, 0), wordAt(bytes, 4), wordAt(bytes, 8), wordAt(bytes, 12)];
  }

  /** Returns the time of a digest, or 0. */
  get(digest: Digest): number {
    return this.#times[this.#slotOf(digest)] ?? 0;
  }

  /** Sets the time of a digest; there must be room. */
  set(digest: Digest, time: number): void {
    const slot = this.#slotOf(digest);
    if (this.#times[slot] === 0) {
      this.#keys.set(digest, slot * 4);
      this.#size += 1;
    }
    this.#times[slot] = time;
  }

  /** Copies the entries of a range of slots for whose time `isKept` is true. */
  copyTo(target: RevocationTable, slots: { from: number; to: number }, isKept: (time: number) => boolean): void {
    const keys = this.#keys;
    for (let slot = slots.from; slot < Math.min(slots.to, this.slots); slot += 1) {
      const time = this.#times[slot] ?? 0;
      if (time === 0 || !isKept(time)) continue;
      const at = slot * 4;
      target.set([keys[at] ?? 0, keys[at + 1] ?? 0, keys[at + 2] ?? 0, keys[at + 3] ?? 0], time);
    }
  }

  /** The slot of a digest, or the free slot for it. */
  #slotOf([a, b, c, d]: Digest): number {
    const keys = this.#keys;
    const { slots } = this;
    let slot = Math.floor(((a >>> 0) / TWO_TO_32) * slots);
    while (this.#times[slot] !== 0) {
      const at = slot * 4;
      if (keys[at] === a && keys[at + 1] === b && keys[at + 2] === c && keys[at + 3] === d) break;
      slot = slot + 1 === slots ? 0 : slot + 1;
    }
    return slot;
  }
}

function wordAt(bytes: string, at: number): number {
  const byte = (i: number) => bytes.charCodeAt(at + i);
  return byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24);
}
