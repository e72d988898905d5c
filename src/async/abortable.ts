// Waits for a promise no longer than a signal allows.

/**
 * The promise's result. The promise goes on when the signal ends the wait; a rejection of it is then nobody's business.
 * @throws the signal's reason, once it is aborted
 */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const ended = Promise.withResolvers<never>();
  const onAbort = () => ended.reject(signal.reason as Error);
  promise.catch(() => {}); // without a handler, a late rejection ends the process
  ended.promise.catch(() => {});
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([ended.promise, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
