// Timers that can be replaced by a test's. A timer of ours never keeps the process alive.

/** Runs something once after this time, unless it is cancelled. */
export type Later = (run: () => void, milliseconds: number) => Alarm;

export interface Alarm {
  cancel(): void;
}

export const later: Later = (run, milliseconds) => {
  const timer = setTimeout(run, milliseconds);
  timer.unref();
  return { cancel: () => clearTimeout(timer) };
};
