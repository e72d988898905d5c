// Ends a wait for a promise when a signal aborts. Pure.

/**
 * Settles as the promise does, unless the signal aborts first. The promise then runs on, and a rejection of it is ignored.
 * @param reasonOf the reason to reject with; the signal's own by default
 */
export function untilAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  reasonOf: (signal: AbortSignal) => Error = ({ reason }) => reason as Error,
): Promise<T> {
  return new Promise((done, fail) => {
    const onAbort = () => fail(reasonOf(signal));
    const settle =
      <V>(end: (value: V) => void) =>
      (value: V) => {
        signal.removeEventListener("abort", onAbort);
        end(value);
      };
    // Also where the signal was aborted before: an unhandled rejection ends the process.
    promise.then(settle(done), settle(fail));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}
