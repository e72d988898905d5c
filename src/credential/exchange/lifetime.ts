// The lifetime of an exchanged token in the cache. Pure.

/** The time for which an exchanged token may be used. */
export interface Life {
  /** Milliseconds, by a clock that never jumps. */
  readonly ttlMs: number;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
}

export interface LifeFacts {
  /** `expires_in` of the response in seconds, or null. */
  readonly expiresIn: number | null;
  /** `exp` of the exchanged token, if it is a JWT with one: seconds since the epoch. */
  readonly tokenExp: number | null;
  /** `exp` of the caller's token: seconds since the epoch. */
  readonly subjectExp: number;
  /** Time of the request and current time: milliseconds since the epoch. */
  readonly askedAt: number;
  readonly now: number;
}

/** Lifetime without `expires_in`, which RFC 8693 §2.2.1 only recommends. */
const DEFAULT_SECONDS = 60;
/** A token is not used in its last seconds: it would expire on its way to the server. */
const SKEW_SECONDS = 30;

/**
 * Computes the usable lifetime: the token's own less 30 s (less half of a short one), and never beyond the caller's token,
 * because IdPs issue tokens that outlive their subject token. Null if it is over already.
 */
export function lifeOf({ expiresIn, tokenExp, subjectExp, askedAt, now }: LifeFacts): Life | null {
  const seconds = expiresIn ?? DEFAULT_SECONDS;
  const life = tokenExp === null ? seconds : Math.min(seconds, tokenExp - askedAt / 1000);
  const usableMs = (life - Math.min(SKEW_SECONDS, life / 2)) * 1000;
  const endsAt = Math.min(askedAt + usableMs, subjectExp * 1000);
  const ttlMs = Math.min(usableMs, endsAt - now);
  return ttlMs > 0 ? { ttlMs, endsAt } : null;
}
