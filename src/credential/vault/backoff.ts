const FIRST_MS = 250;
/** A Vault that is away and comes back is noticed within five seconds, the time limit of an attempt included. */
const AWAY_MAX_MS = 2000;
/** A refused log-in is somebody's mistake: Vaults lock an account that is tried too often. */
const REFUSED_FIRST_MS = 1000;
const REFUSED_MAX_MS = 60_000;

/**
 * The pause before the next log-in: doubling, with a fifth of jitter either way, so that replicas do not come in step.
 * @param failures in a row, at least 1
 * @param random 0 to 1
 */
export function backoffMs(failures: number, refused: boolean, random: number): number {
  const [first, max] = refused ? [REFUSED_FIRST_MS, REFUSED_MAX_MS] : [FIRST_MS, AWAY_MAX_MS];
  return Math.min(max, first * 2 ** Math.min(failures - 1, 20)) * (0.8 + 0.4 * random);
}
