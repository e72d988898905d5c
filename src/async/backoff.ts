// Exponential backoff with jitter. Pure.

export interface Backoff {
  /** The pause after the first failure, in milliseconds. */
  readonly firstMs: number;
  /** The longest pause, before jitter. */
  readonly maxMs: number;
  /** The part of a pause, 0 to 1, by which it is randomly shorter or longer, so that replicas do not retry in step. */
  readonly jitter: number;
}

/**
 * The pause before the next attempt, in milliseconds: it doubles with each failure.
 * @param failures in a row, at least 1
 * @param random 0 to 1
 */
export function backoffMs({ firstMs, maxMs, jitter }: Backoff, failures: number, random: number): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30)) * (1 + jitter * (2 * random - 1));
}
