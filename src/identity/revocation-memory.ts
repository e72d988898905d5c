// All revocations that were seen, in bounded memory that outlives the thread: which of them holds for a token. Pure, but
// for the clocks that it is given.
import { setImmediate as nextTurn } from "node:timers/promises";
import { MAX_LIFETIME_SECONDS, SKEW_SECONDS } from "./claims.ts";
import type { Revocation } from "./revocation-lines.ts";
import { RevocationTable, slotsFor, type Digest } from "./revocation-table.ts";

export interface MemoryOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  readonly maxEntries: number;
  /** What an earlier thread of this process has seen, or null. */
  readonly remembered: SharedArrayBuffer | null;
  /** Told of the memory that holds all there is, each time it is another: it must outlive this thread. */
  readonly onMemory: (memory: SharedArrayBuffer) => void;
}

/** What a verified token shows of itself. */
export interface TokenMarks {
  readonly iss: string;
  readonly sub: string;
  readonly jti: unknown;
  readonly sid: unknown;
  readonly iat: unknown;
}

export interface RevocationMemory {
  /**
   * Which revocation holds for the token, or null; three look-ups.
   * @param holder what the marks are of: their digests are computed once for it
   */
  find(marks: TokenMarks, holder?: object): Revocation["by"] | null;
  /** `full`: nothing was taken; {@link makeRoom}, then try again. */
  add(revocation: Revocation): "new" | "known" | "over" | "full";
  /** Grows, or drops what is over, in slices. Resolves to false when every entry is still in force. */
  makeRoom(): Promise<boolean>;
  size(): number;
  /** True when the clock has gone back behind what was dropped: lines that were over no longer are. */
  hasDroppedTooMuch(): boolean;
}

/** The digests of one token's marks; null for a mark that it does not have. */
interface Digests {
  readonly jti: Digest | null;
  readonly sid: Digest | null;
  readonly sub: Digest;
}

const FIRST_ENTRIES = 1000;
/** Slots that are copied in one go, about 2 ms; requests come in between. */
const SLICE = 8192;
/**
 * How long after `before` a token that was issued earlier may still be accepted: the longest life that `checkClaims`
 * takes. {@link SKEW_SECONDS} more, as after every `exp`, is added where times are compared.
 */
const SUBJECT_SECONDS = MAX_LIFETIME_SECONDS + SKEW_SECONDS;

/**
 * Every revocation that was seen. Nothing is forgotten because its line is gone, and a time only ever grows. A time is over
 * when both the wall clock and the time that has passed since the start say so: a clock that was set forward ends nothing,
 * and one that is set back brings no token back (P12). What is over stays while there is room.
 */
export function createRevocationMemory(options: MemoryOptions): RevocationMemory {
  return new SeenRevocations(options);
}

class SeenRevocations implements RevocationMemory {
  readonly #clock: () => number;
  readonly #options: MemoryOptions;
  #table: RevocationTable;
  #digests = new WeakMap<object, Digests>();
  /** The clock when something that was over was left out for the last time, and when the table was searched for it. */
  #droppedAt = -Infinity;
  #prunedAt = -Infinity;

  constructor(options: MemoryOptions) {
    const { now, monotonic, maxEntries, remembered, onMemory } = options;
    const startedAt = now() - monotonic();
    this.#options = options;
    this.#clock = () => Math.min(now(), startedAt + monotonic()) / 1000;
    this.#table =
      remembered === null
        ? RevocationTable.create(slotsFor(Math.min(FIRST_ENTRIES, maxEntries)))
        : RevocationTable.open(remembered);
    onMemory(this.#table.buffer);
  }

  find(marks: TokenMarks, holder: object = marks): Revocation["by"] | null {
    const table = this.#table;
    if (table.size === 0 && !table.flag) return null;
    const { jti, sid, sub } = this.#digestsOf(marks, holder);
    if (this.#holds(jti)) return "jti";
    if (this.#holds(sid)) return "sid";
    // A token that does not say when it was issued may be an old one, also of a subject who was dropped.
    const { iat } = marks;
    if (typeof iat !== "number") return table.flag || table.get(sub) !== 0 ? "sub" : null;
    return iat < -table.get(sub) ? "sub" : null;
  }

  add(revocation: Revocation): "new" | "known" | "over" | "full" {
    const table = this.#table;
    const digest = table.digest(nameOf(revocation));
    const time = timeOf(revocation);
    const known = table.get(digest);
    if (Math.abs(known) >= Math.abs(time)) return "known";
    if (known === 0) {
      // Half of the room is for what is over: a clock that was wrong when the file was read can be put right.
      if (table.size * 2 >= this.#options.maxEntries && this.#isOver(time)) {
        if (time < 0) table.setFlag();
        this.#droppedAt = this.#clock();
        return "over";
      }
      if (table.size >= this.#options.maxEntries || !table.hasRoom()) return "full";
    }
    table.set(digest, time);
    return "new";
  }

  async makeRoom(): Promise<boolean> {
    const { maxEntries } = this.#options;
    const { size, slots } = this.#table;
    if (size < maxEntries && !this.#table.hasRoom()) {
      await this.#rebuild(Math.min(slots * 2, slotsFor(maxEntries) + 1), () => true);
    } else if (size >= maxEntries && this.#clock() > this.#prunedAt) {
      this.#prunedAt = this.#droppedAt = this.#clock();
      await this.#rebuild(slots, (time) => !this.#isOver(time));
    }
    return this.#table.size < maxEntries;
  }

  size(): number {
    return this.#table.size;
  }

  hasDroppedTooMuch(): boolean {
    if (this.#clock() >= this.#droppedAt) return false;
    this.#droppedAt = -Infinity;
    return true;
  }

  async #rebuild(slots: number, isKept: (time: number) => boolean): Promise<void> {
    const table = this.#table;
    const next = RevocationTable.create(slots, table);
    const keep = (time: number) => {
      const isStaying = isKept(time);
      if (!isStaying && time < 0) next.setFlag();
      return isStaying;
    };
    for (let from = 0; from < table.slots; from += SLICE) {
      table.copyTo(next, { from, to: from + SLICE }, keep);
      await nextTurn();
    }
    this.#table = next;
    this.#options.onMemory(next.buffer);
  }

  #digestsOf({ iss, sub, jti, sid }: TokenMarks, holder: object): Digests {
    let digests = this.#digests.get(holder);
    if (digests === undefined) {
      const of = (by: Revocation["by"], id: unknown) =>
        typeof id === "string" ? this.#table.digest(nameOf({ by, iss, id })) : null;
      digests = {
        jti: of("jti", jti),
        sid: of("sid", sid),
        sub: this.#table.digest(nameOf({ by: "sub", iss, id: sub })),
      };
      this.#digests.set(holder, digests);
    }
    return digests;
  }

  #holds(digest: Digest | null): boolean {
    const until = digest === null ? 0 : this.#table.get(digest);
    return until !== 0 && !this.#isOver(until);
  }

  #isOver(time: number): boolean {
    const end = time < 0 ? SUBJECT_SECONDS - time : time;
    return end + SKEW_SECONDS < this.#clock();
  }
}

/** One text for each sort, issuer and id, whatever is in them. */
export function nameOf({ by, iss, id }: Pick<Revocation, "by" | "iss" | "id">): string {
  return `${by}${iss.length}:${iss}${id}`;
}

/** `until` of a token or session; `before` of a subject as a negative number, so that a slot says which it is. */
function timeOf(revocation: Revocation): number {
  return revocation.by === "sub" ? -revocation.before : revocation.until;
}
