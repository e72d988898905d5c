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
export function createRevocationMemory({ now, monotonic, maxEntries }: MemoryOptions): RevocationMemory {
  const issuers = new Map<string, Times>();
  const start = { wall: now(), monotonic: monotonic() };
  let size = 0;

  const isOver = (until: number) => {
    const passed = start.wall + (monotonic() - start.monotonic);
    return until + SKEW_SECONDS < Math.min(now(), passed) / 1000;
  };

  function holds(times: Map<string, number>, id: unknown): boolean {
    const until = typeof id === "string" ? times.get(id) : undefined;
    return until !== undefined && !isOver(until);
  }

  function isNews(revocation: Revocation): boolean {
    const known = issuers.get(revocation.iss)?.[revocation.by].get(revocation.id);
    return known === undefined || known < timeOf(revocation);
  }

  function put(revocation: Revocation): void {
    let times = issuers.get(revocation.iss);
    if (times === undefined) {
      times = { jti: new Map(), sid: new Map(), sub: new Map() };
      issuers.set(revocation.iss, times);
    }
    const known = times[revocation.by].get(revocation.id);
    if (known === undefined) size += 1;
    times[revocation.by].set(revocation.id, Math.max(known ?? 0, timeOf(revocation)));
  }

  /** Room for new ones, at the cost of those whose time is over. */
  function prune(): void {
    for (const { jti, sid } of issuers.values()) size -= dropOver(jti) + dropOver(sid);
  }

  function dropOver(times: Map<string, number>): number {
    const over = [...times].filter(([, until]) => isOver(until));
    for (const [id] of over) times.delete(id);
    return over.length;
  }

  return {
    find({ iss, sub, jti, sid, iat }) {
      const times = issuers.get(iss);
      if (times === undefined) return null;
      if (holds(times.jti, jti)) return "jti";
      if (holds(times.sid, sid)) return "sid";
      const before = times.sub.get(sub);
      // A token that does not say when it was issued may be an old one.
      return before !== undefined && !(typeof iat === "number" && iat >= before) ? "sub" : null;
    },
    add(revocations) {
      const news = revocations.filter(isNews);
      const pruned = size + news.length > maxEntries;
      if (pruned) prune();
      if (size + news.length > maxEntries) return `more than ${maxEntries} revocations are in force`;
      for (const revocation of news) put(revocation);
      return { news, pruned };
    },
    all: () =>
      [...issuers].flatMap(([iss, times]) => [
        ...(["jti", "sid"] as const).flatMap((by) => [...times[by]].map(([id, until]) => ({ by, iss, id, until }))),
        ...[...times.sub].map(([id, before]) => ({ by: "sub" as const, iss, id, before })),
      ]),
    size: () => size,
  };
}

function timeOf(revocation: Revocation): number {
  return revocation.by === "sub" ? revocation.before : revocation.until;
}
