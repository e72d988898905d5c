// All revocations that were ever read, in bounded shared memory that outlives the thread. Pure but for the clocks that are
// passed in.
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
  /** The memory of an earlier thread of this process, or null. */
  readonly remembered: SharedArrayBuffer | null;
  /** Called with the shared memory each time it is replaced: it must outlive this thread. */
  readonly onMemory: (memory: SharedArrayBuffer) => void;
}

/** The claims of a verified token by which it can be revoked. */
export interface TokenMarks {
  readonly iss: string;
  readonly sub: string;
  readonly jti: unknown;
  readonly sid: unknown;
  readonly iat: unknown;
}

export interface RevocationMemory {
  /**
   * Finds the kind of revocation that applies to a token, or null. Three hash look-ups.
   * @param holder the object that the marks belong to: their digests are cached for it
   */
  find(marks: TokenMarks, holder?: object): Revocation["by"] | null;
  /** Adds a revocation. `full`: not added; call {@link makeRoom} and add again. `over`: not in force any more. */
  add(revocation: Revocation): "new" | "known" | "over" | "full";
  /** Grows the table, or drops entries that are over, in slices. Resolves to false if every entry is in force. */
  makeRoom(): Promise<boolean>;
  size(): number;
  /** True if the clock was set back behind the last drop: dropped entries may be in force again. */
  hasDroppedTooMuch(): boolean;
}

/** The digests of one token's marks; null for an absent mark. */
interface Digests {
  readonly jti: Digest | null;
  readonly sid: Digest | null;
  readonly sub: Digest;
}

const FIRST_ENTRIES = 1000;
/** Slots that are copied at once, about 2 ms; requests run in between. */
const SLICE = 8192;
/**
 * Seconds after `before` for which an earlier token may still be valid: the longest lifetime that `checkClaims` accepts.
 * {@link SKEW_SECONDS} is added where times are compared, as after every `exp`.
 */
const SUBJECT_SECONDS = MAX_LIFETIME_SECONDS + SKEW_SECONDS;

/**
 * Makes the memory of all revocations. An entry stays when its line is removed, and its time only grows. An entry is over when
 * both the wall clock and the monotonic time since the start say so: a clock that is set forward ends no revocation, and
 * one that is set back revives no token (threat model: P12). Entries that are over stay while there is room.
 */
export function createRevocationMemory(options: MemoryOptions): RevocationMemory {
  return new SharedRevocationMemory(options);
}

class SharedRevocationMemory implements RevocationMemory {
  readonly #clock: () => number;
  readonly #options: MemoryOptions;
  #table: RevocationTable;
  #digests = new WeakMap<object, Digests>();
  /** Seconds of the clock at the last drop of an entry that was over, and at the last search for such entries. */
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
    // A token without `iat` may have been issued earlier; the flag means that an entry of some subject was dropped.
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
      // Half of the room may hold entries that are over: a clock that was wrong when the file was read can be corrected.
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

/** Makes the name of a mark, injective over kind, issuer and id. */
export function nameOf({ by, iss, id }: Pick<Revocation, "by" | "iss" | "id">): string {
  return `${by}${iss.length}:${iss}${id}`;
}

/** The time of a slot: `until` of a token or session; `before` of a subject as a negative number. */
function timeOf(revocation: Revocation): number {
  return revocation.by === "sub" ? -revocation.before : revocation.until;
}
