/** How long an exchanged token may be used. */
export interface Life {
  /** Milliseconds, by a clock that never jumps. */
  readonly ttlMs: number;
  /** Milliseconds since the epoch. */
  readonly endsAt: number;
}

export interface LifeFacts {
  /** Seconds, as the IdP says; null when it does not. */
  readonly expiresIn: number | null;
  /** `exp` of the exchanged token, if it is readable, and of the caller's: seconds since the epoch. */
  readonly tokenExp: number | null;
  readonly subjectExp: number;
  /** When the request left and what time it is: milliseconds since the epoch. */
  readonly askedAt: number;
  readonly now: number;
}

/** RFC 8693 §2.2.1 only recommends `expires_in`. */
const UNSAID_SECONDS = 60;
/** A token that ends on its way is of no use to the upstream. */
const SKEW_SECONDS = 30;

/**
 * Until when a token may be used: its own life less 30 s (less half of a short life), and never beyond the caller's
 * token: IdPs give tokens that outlive their subject. Null when that is over already.
 */
export function lifeOf({ expiresIn, tokenExp, subjectExp, askedAt, now }: LifeFacts): Life | null {
  const said = expiresIn ?? UNSAID_SECONDS;
  const life = tokenExp === null ? said : Math.min(said, tokenExp - askedAt / 1000);
  const usableMs = (life - Math.min(SKEW_SECONDS, life / 2)) * 1000;
  const endsAt = Math.min(askedAt + usableMs, subjectExp * 1000);
  const ttlMs = Math.min(usableMs, endsAt - now);
  return ttlMs > 0 ? { ttlMs, endsAt } : null;
}
