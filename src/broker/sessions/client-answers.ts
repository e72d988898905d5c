// Answers of a client that a call of hers waits for in this process, by the ids under which she was asked. Timers only.
import { randomInt } from "node:crypto";
import { later as timer, type Later } from "../../async/later.ts";
import type { RpcId } from "../../mcp/operation.ts";
import { ANSWER_MS } from "./server-requests.ts";

/** One question to a client. */
export interface Question {
  /** The id of the request that she gets. */
  readonly id: number;
  /** Her response, as it came; null if none comes: her time is over, or her session. */
  readonly answer: Promise<Buffer | null>;
  /** Nobody waits any more. */
  forget(): void;
}

export interface ClientAnswers {
  /** Null if too many questions wait. */
  ask(): Question | null;
  /** Takes a response; false for an id that does not wait. */
  take(id: RpcId, response: Buffer): boolean;
  /** Ends all: no answer comes. */
  close(): void;
}

/** Questions that wait in one session. */
const MAX_WAITING = 64;
/** As in server-requests.ts: no two requests that a client gets have one id. */
const MAX_ID = 2 ** 47;

export function createClientAnswers(later: Later = timer): ClientAnswers {
  const waiting = new Map<number, (response: Buffer | null) => void>();
  return {
    ask() {
      if (waiting.size >= MAX_WAITING) return null;
      const id = randomInt(1, MAX_ID);
      const { promise, resolve } = Promise.withResolvers<Buffer | null>();
      const end = (response: Buffer | null) => {
        alarm.cancel();
        waiting.delete(id);
        resolve(response);
      };
      const alarm = later(() => end(null), ANSWER_MS);
      waiting.set(id, end);
      return { id, answer: promise, forget: () => end(null) };
    },
    take(id, response) {
      const end = typeof id === "number" ? waiting.get(id) : undefined;
      end?.(response);
      return end !== undefined;
    },
    close() {
      for (const end of waiting.values()) end(null);
    },
  };
}
