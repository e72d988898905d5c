// Calls whose server has ended their stream before the answer, and whose client comes back for it with a GET. Pure.
import type { ResponseSink } from "./message-response.ts";
import { orAborted } from "../abort.ts";

/** A client who has come back for the rest of a call. */
export interface ReturnedClient {
  readonly response: ResponseSink;
  /** The server's id of the last event that she has got. */
  readonly lastEventId: string;
  /** Milliseconds since the epoch: the token that she came back with expires then. */
  readonly expiresAt: number;
}

export interface LeftCalls {
  /** Waits until the client comes back for this call. @throws {HttpFault} why the signal ended the wait */
  wait(call: number, signal: AbortSignal): Promise<ReturnedClient>;
  /** Hands the call over; false if it does not wait. */
  resume(call: number, client: ReturnedClient): boolean;
}

export function createLeftCalls(): LeftCalls {
  const waiting = new Map<number, (client: ReturnedClient) => void>();
  return {
    async wait(call, signal) {
      const { promise, resolve } = Promise.withResolvers<ReturnedClient>();
      waiting.set(call, resolve);
      return orAborted(promise, signal).finally(() => waiting.delete(call));
    },
    resume(call, client) {
      const hand = waiting.get(call);
      waiting.delete(call);
      hand?.(client);
      return hand !== undefined;
    },
  };
}
