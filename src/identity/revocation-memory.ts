import { SKEW_SECONDS } from "./claims.ts";
import type { Revocation } from "./revocation-lines.ts";

export interface MemoryOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds of a clock that never jumps. */
  readonly monotonic: () => number;
  readonly maxEntries: number;
}

/** What a verified token shows of itself. */
export interface TokenMarks {
  readonly iss: string;
  readonly sub: string;
  readonly jti: unknown;
  readonly sid: unknown;
  readonly iat: unknown;
}

export interface Added {
  readonly news: readonly Revocation[];
  /** True if others, whose time is over, had to make room. */
  readonly pruned: boolean;
}

export interface RevocationMemory {
  /** Which revocation holds for the token, or null; three look-ups. */
  find(marks: TokenMarks): Revocation["by"] | null;
  /** Takes all, or none and says why. */
  add(revocations: readonly Revocation[]): Added | string;
  all(): Revocation[];
  size(): number;
}

/** By `jti` and `sid`: until when; by `sub`: tokens issued before when. Seconds since the epoch. */
type Times = Record<Revocation["by"], Map<string, number>>;

/**
 * Every revocation that was seen. Nothing is forgotten because its line is gone, and a time only ever grows. `until` is
 * over when both the wall clock and the time that has passed since the start say so: a clock that was set forward ends
 * none, and one that is set back brings none of the tokens back (P12).
 */
export function createRevocationMemory(options: MemoryOptions): RevocationMemory {
  return new SeenRevocations(options);
}

class SeenRevocations implements RevocationMemory {
  readonly #issuers = new Map<string, Times>();
  readonly #isOver: (until: number) => boolean;
  readonly #maxEntries: number;
  #size = 0;

  constructor({ now, monotonic, maxEntries }: MemoryOptions) {
    const startedAt = now() - monotonic();
    this.#isOver = (until) => until + SKEW_SECONDS < Math.min(now(), startedAt + monotonic()) / 1000;
    this.#maxEntries = maxEntries;
  }

  find({ iss, sub, jti, sid, iat }: TokenMarks): Revocation["by"] | null {
    const times = this.#issuers.get(iss);
    if (times === undefined) return null;
    if (this.#holds(times.jti, jti)) return "jti";
    if (this.#holds(times.sid, sid)) return "sid";
    const before = times.sub.get(sub);
    // A token that does not say when it was issued may be an old one.
    return before !== undefined && !(typeof iat === "number" && iat >= before) ? "sub" : null;
  }

  add(revocations: readonly Revocation[]): Added | string {
    const news = revocations.filter((revocation) => this.#isNews(revocation));
    const pruned = this.#size + news.length > this.#maxEntries;
    if (pruned) this.#prune();
    if (this.#size + news.length > this.#maxEntries) return `more than ${this.#maxEntries} revocations are in force`;
    for (const revocation of news) this.#put(revocation);
    return { news, pruned };
  }

  all(): Revocation[] {
    return [...this.#issuers].flatMap(([iss, times]) => [
      ...(["jti", "sid"] as const).flatMap((by) => [...times[by]].map(([id, until]) => ({ by, iss, id, until }))),
      ...[...times.sub].map(([id, before]) => ({ by: "sub" as const, iss, id, before })),
    ]);
  }

  size(): number {
    return this.#size;
  }

  #holds(times: ReadonlyMap<string, number>, id: unknown): boolean {
    const until = typeof id === "string" ? times.get(id) : undefined;
    return until !== undefined && !this.#isOver(until);
  }

  #isNews(revocation: Revocation): boolean {
    const known = this.#issuers.get(revocation.iss)?.[revocation.by].get(revocation.id);
    return known === undefined || known < timeOf(revocation);
  }

  #put(revocation: Revocation): void {
    let times = this.#issuers.get(revocation.iss);
    if (times === undefined) {
      times = { jti: new Map(), sid: new Map(), sub: new Map() };
      this.#issuers.set(revocation.iss, times);
    }
    const known = times[revocation.by].get(revocation.id);
    if (known === undefined) this.#size += 1;
    times[revocation.by].set(revocation.id, Math.max(known ?? 0, timeOf(revocation)));
  }

  /** Room for new ones, at the cost of those whose time is over. */
  #prune(): void {
    for (const { jti, sid } of this.#issuers.values()) this.#size -= this.#dropOver(jti) + this.#dropOver(sid);
  }

  #dropOver(times: Map<string, number>): number {
    const over = [...times].filter(([, until]) => this.#isOver(until));
    for (const [id] of over) times.delete(id);
    return over.length;
  }
}

function timeOf(revocation: Revocation): number {
  return revocation.by === "sub" ? revocation.before : revocation.until;
}
