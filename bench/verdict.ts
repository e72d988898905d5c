// Whether figures of several starts say that something became slower. Pure.

/** A start that is further above the baseline counts. */
export const SLOWER = 0.25;

/** True where each start is further above: one alone is noise. Without a baseline nothing is slower. */
export function isSlower(found: readonly number[], baseline: number): boolean {
  return found.length > 0 && found.every((ratio) => ratio > baseline * (1 + SLOWER));
}
