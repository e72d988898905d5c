// Promises that end with an AbortSignal. Every signal of the broker is aborted with an HttpFault, or by a timeout of Node's.
import { HttpFault } from "../http/client.ts";

/** Code of the fault of a request whose client has closed its connection. */
export const LEFT = "left";

/** The fault with which a signal was aborted. */
export function faultIn(signal: AbortSignal): HttpFault {
  const reason: unknown = signal.reason;
  if (reason instanceof HttpFault) return reason;
  return new HttpFault(reason instanceof Error && reason.name === "TimeoutError" ? "timeout" : "aborted");
}

/** Settles as the promise does, unless the signal is aborted first: then it rejects with the signal's fault. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => {}); // an unhandled rejection would end the process
    return Promise.reject(faultIn(signal));
  }
  return new Promise((done, fail) => {
    const onAbort = () => fail(faultIn(signal));
    signal.addEventListener("abort", onAbort, { once: true });
    const removeListener = () => signal.removeEventListener("abort", onAbort);
    promise.finally(removeListener).then(done, fail);
  });
}
