// Steps within one process (`list.ts`), in short windows that take turns.

/** Does the work once. */
type Call = () => Promise<void>;

/** Measures each entry once per window; every other window runs backwards, so that a drift meets all alike. */
export async function inTurns<T>(
  entries: readonly T[],
  windows: number,
  measure: (entry: T) => Promise<void>,
): Promise<void> {
  for (let i = 0; i < windows; i += 1)
    for (const entry of i % 2 === 0 ? entries : entries.toReversed()) await measure(entry);
}

/** Calls for so many milliseconds, one after the other. @returns how often */
export async function drive(call: Call, ms: number): Promise<number> {
  const end = performance.now() + ms;
  let count = 0;
  for (; performance.now() < end; count += 1) await call();
  return count;
}
