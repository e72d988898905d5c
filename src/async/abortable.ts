// Ends a wait for a promise when a signal aborts. Pure.

/**
 * Returns the promise's result. When the signal ends the wait, the promise runs on, and a rejection of it is ignored.
 * @throws the signal's reason when it aborts
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
