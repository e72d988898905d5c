// Used proofs of several serving threads, in memory that they share: a proof counts once, whichever thread sees it first. No locks:
// a thread may be ended at any instruction. Pure but for that memory.
import { hash, randomBytes } from "node:crypto";

/** What remembers proofs. */
export interface UsedProofs {
  /** Seconds since the epoch. Proofs from before are refused: nobody remembers those that were used. */
  readonly startedAt: number;
  /**
   * @param now seconds since the epoch, never less than before
   * @returns null once for each proof, then a fault; `full` where it cannot be remembered
   */
  add(proof: UsedProof, now: number): string | null;
}

export interface UsedProof {
  /** Thumbprint of its key. */
  readonly jkt: string;
  readonly jti: string;
  /** Its own time, in seconds since the epoch. */
  readonly iat: number;
}

/** Seconds of `iat` in one table. A proof can be used for 70 s, so that those that count are in three tables at most. */
const BUCKET_SECONDS = 80;
const TABLES = 4;
/** Slots of a table: as many proofs as one thread remembers have room, with runs of a few slots. */
const SLOTS = 2 ** 18;
/** Slots that are looked at; beyond, the table counts as full. */
const MAX_RUN = 512;
/** Words before the tables: the start, and the key of the hash, so that nobody can choose proofs whose slots are the same. */
const HEAD_WORDS = 4;
const WORD = 8;
/**
 * Of a slot: 20 bits of the bucket's number, then 44 of the proof, or 28 of the key and 16 of a count. Half of the numbers are newer
 * than one: a slot that nobody took again would refuse after 485 days.
 */
const TAG_SHIFT = 44n;
const TAGS = 0xfffff;
const COUNT_BITS = 16n;
const COUNTS = (1n << COUNT_BITS) - 1n;

const USED = "was used before";
const FULL = "full";

/** @param now seconds since the epoch. 16 MiB of address space; only what is used takes memory */
export function newSharedProofs(now: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer((HEAD_WORDS + 2 * TABLES * SLOTS) * WORD);
  const words = new BigUint64Array(buffer, 0, HEAD_WORDS);
  words[0] = BigInt(Math.floor(now));
  new Uint8Array(buffer, WORD, 3 * WORD).set(randomBytes(3 * WORD));
  return buffer;
}

/** A table of one bucket. */
interface Table {
  readonly words: BigUint64Array;
  readonly bucket: number;
}

/**
 * A slot of an older bucket is free; one of a newer bucket refuses, since what it held may have been this proof. So a proof that
 * was remembered is refused for as long as the memory is there, however late or out of order threads come to it.
 */
export function createSharedProofs(buffer: SharedArrayBuffer, maxPerKey = 8192): UsedProofs {
  const head = new BigUint64Array(buffer, 0, HEAD_WORDS);
  const salt = Buffer.from(new Uint8Array(buffer, WORD, 3 * WORD)).toString("base64url");
  const wordsAt = (n: number) => new BigUint64Array(buffer, (HEAD_WORDS + n * SLOTS) * WORD, SLOTS);
  const proofs = Array.from({ length: TABLES }, (_, n) => wordsAt(n));
  const keys = Array.from({ length: TABLES }, (_, n) => wordsAt(TABLES + n));
  const tableOf = (tables: readonly BigUint64Array[], bucket: number): Table => {
    const words = tables[((bucket % TABLES) + TABLES) % TABLES];
    if (words === undefined) throw new RangeError("no such table");
    return { words, bucket };
  };
  const digest = (...parts: readonly string[]) => hash("sha256", JSON.stringify([salt, ...parts]), "buffer");
  return {
    startedAt: Number(head[0]),
    add({ jkt, jti, iat }) {
      const bucket = Math.floor(iat / BUCKET_SECONDS);
      const name = digest(jkt, jti);
      // Its key may have signed the same `jti` anew, with another time.
      for (const near of [bucket - 1, bucket, bucket + 1]) if (isIn(tableOf(proofs, near), name)) return USED;
      return count(tableOf(keys, bucket), digest(jkt), maxPerKey) ?? insert(tableOf(proofs, bucket), name);
    },
  };
}

/** True for a proof that this table has. */
function isIn(table: Table, name: Buffer): boolean {
  const entry = tagged(table, proofBits(name));
  for (const at of run(name)) {
    const found = Atomics.load(table.words, at);
    if (found === entry) return true;
    if (stateOf(table, found) !== "taken") return false;
  }
  return false;
}

function insert(table: Table, name: Buffer): string | null {
  const entry = tagged(table, proofBits(name));
  return place(table, name, { isOurs: (found) => found === entry, first: entry, again: () => USED });
}

/** Counts a proof of this key. */
function count(table: Table, name: Buffer, max: number): string | null {
  const key = tagged(table, keyBits(name) << COUNT_BITS);
  const again = (found: bigint, at: number): string | null | undefined => {
    if ((found & COUNTS) >= BigInt(max)) return FULL;
    return Atomics.compareExchange(table.words, at, found, found + 1n) === found ? null : undefined;
  };
  return place(table, name, { isOurs: (found) => (found & ~COUNTS) === key, first: key + 1n, again });
}

interface Placing {
  readonly isOurs: (found: bigint) => boolean;
  /** What a free slot gets. */
  readonly first: bigint;
  /** The end at a slot that is ours already; undefined to look at it once more. */
  readonly again: (found: bigint, at: number) => string | null | undefined;
}

/** Slots of one bucket are taken in the order of their run, and are never given back: two threads with one name meet at one slot. */
function place(table: Table, name: Buffer, { isOurs, first, again }: Placing): string | null {
  for (const at of run(name)) {
    for (;;) {
      const found = Atomics.load(table.words, at);
      const state = stateOf(table, found);
      if (state === "newer") return FULL;
      if (state === "taken" && !isOurs(found)) break;
      const end = state === "taken" ? again(found, at) : take(table.words, at, { found, first });
      if (end !== undefined) return end;
    }
  }
  return FULL;
}

function take(
  words: BigUint64Array,
  at: number,
  { found, first }: { readonly found: bigint; readonly first: bigint },
): null | undefined {
  return Atomics.compareExchange(words, at, found, first) === found ? null : undefined;
}

/** `free`: empty, or of an older bucket, none of whose proofs can be used. */
function stateOf({ bucket }: Table, found: bigint): "free" | "taken" | "newer" {
  if (found === 0n) return "free";
  const ahead = Number((found >> TAG_SHIFT) - tagOf(bucket)) & TAGS;
  if (ahead === 0) return "taken";
  return ahead <= TAGS >> 1 ? "newer" : "free";
}

function tagOf(bucket: number): bigint {
  return BigInt(bucket & TAGS);
}

function tagged({ bucket }: Table, bits: bigint): bigint {
  return (tagOf(bucket) << TAG_SHIFT) | bits;
}

/** 44 bits, never 0: that is an empty slot. */
function proofBits(name: Buffer): bigint {
  return (BigInt(name.readUIntBE(0, 6)) >> 4n) | 1n;
}

function keyBits(name: Buffer): bigint {
  return BigInt(name.readUInt32BE(0) >>> 4);
}

/** Numbers of the slots in which a name may be. */
function* run(name: Buffer): Generator<number> {
  const start = name.readUInt32BE(8);
  for (let i = 0; i < MAX_RUN; i += 1) yield (start + i) % SLOTS;
}
