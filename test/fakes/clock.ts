// A clock that moves when a test says so, with the alarms that were set on it.
export interface FakeClock {
  /** Milliseconds. */
  now(): number;
  later(run: () => void, milliseconds: number): { cancel(): void };
  /** Milliseconds until the next alarm, or null. */
  next(): number | null;
  /** Moves on, runs what is due, and lets promises settle. */
  pass(milliseconds: number): Promise<void>;
}

export function fakeClock(): FakeClock {
  let now = 0;
  const alarms = new Set<{ readonly at: number; readonly run: () => void }>();
  const due = (until: number) => [...alarms].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
  return {
    now: () => now,
    later(run, milliseconds) {
      const alarm = { at: now + milliseconds, run };
      alarms.add(alarm);
      return { cancel: () => void alarms.delete(alarm) };
    },
    next: () => (alarms.size === 0 ? null : Math.min(...[...alarms].map(({ at }) => at)) - now),
    async pass(milliseconds) {
      const until = now + milliseconds;
      for (let alarm = due(until); alarm !== undefined; alarm = due(until)) {
        alarms.delete(alarm);
        now = Math.max(now, alarm.at);
        alarm.run();
        await settle();
      }
      now = until;
      await settle();
    },
  };
}

/** Lets everything that waits for nothing else go on. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}
