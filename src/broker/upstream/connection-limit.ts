// Bounds the connections that one use of a server may take from its pool: what waits for lists holds up no call, and the
// reverse. I/O by the HTTP client that is passed in.
import type { HttpClient } from "../../http/client.ts";
import { orAborted } from "../abort.ts";

export type Send = HttpClient["open"];

/**
 * At most `max` requests at a time, each until its response is closed; the others wait in order.
 * @throws {HttpFault} why the signal ended the wait
 */
export function limitConnections(send: Send, max: number): Send {
  const waiting = new Set<() => void>();
  let used = 0;
  const release = () => {
    const [next] = waiting;
    if (next === undefined) used -= 1;
    else {
      waiting.delete(next);
      next(); // the connection changes hands
    }
  };
  const acquire = async (signal: AbortSignal) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.add(resolve);
    try {
      await orAborted(promise, signal);
    } catch (error) {
      // The turn may have come in the moment of the abort.
      if (!waiting.delete(resolve)) release();
      throw error;
    }
  };
  return async (request) => {
    if (used < max) used += 1;
    else await acquire(request.signal);
    try {
      const response = await send(request);
      if (response.closed) release();
      else response.once("close", release);
      return response;
    } catch (error) {
      release();
      throw error;
    }
  };
}
