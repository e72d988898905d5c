// Promises that end with an AbortSignal. Every signal of the broker is aborted with an HttpFault, or by a timeout of Node's.
import { untilAborted } from "../async/abortable.ts";
import { HttpFault } from "../http/client.ts";

/** Code of the fault of a request whose client has closed its connection. */
export const LEFT = "left";
/** Code of the fault of a request that its client has cancelled. */
export const CANCELLED = "cancelled";

/** The fault with which a signal was aborted. */
export function faultIn(signal: AbortSignal): HttpFault {
  const reason: unknown = signal.reason;
  if (reason instanceof HttpFault) return reason;
  return new HttpFault(reason instanceof Error && reason.name === "TimeoutError" ? "timeout" : "aborted");
}

/** Settles as the promise does, unless the signal is aborted first: then it rejects with the signal's fault. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return untilAborted(promise, signal, faultIn);
}
