// A timer that tests can replace. It never keeps the process alive.

/** Calls `run` once after this time, unless it is cancelled. */
export type Later = (run: () => void, milliseconds: number) => Alarm;

export interface Alarm {
  cancel(): void;
}

export const later: Later = (run, milliseconds) => {
  const timer = setTimeout(run, milliseconds);
  timer.unref();
  return { cancel: () => clearTimeout(timer) };
};
