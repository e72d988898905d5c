// Questions of the operator listener to serving threads, and their answers. Pure but for timers.
import type { OpsAnswer, OpsQuestion } from "./messages.ts";

export interface Questions {
  /** Resolves with null for a worker that is gone, or does not answer in time. */
  ask(worker: number, question: OpsQuestion): Promise<OpsAnswer | null>;
  answered(id: number, answer: OpsAnswer): void;
  /** This worker has ended. */
  left(worker: number): void;
}

/** A worker may be in the midst of an evaluation that is ended after 5 s at the latest. */
const TIMEOUT_MS = 6000;

interface Open {
  readonly worker: number;
  readonly done: (answer: OpsAnswer | null) => void;
}

/** @param send false if there is no such worker now */
export function createQuestions(send: (worker: number, id: number, question: OpsQuestion) => boolean): Questions {
  const open = new Map<number, Open>();
  let last = 0;
  const end = (id: number, answer: OpsAnswer | null) => {
    open.get(id)?.done(answer);
    open.delete(id);
  };
  return {
    ask: (worker, question) =>
      new Promise((resolve) => {
        const id = (last += 1);
        const timer = setTimeout(() => end(id, null), TIMEOUT_MS);
        const done = (answer: OpsAnswer | null) => {
          clearTimeout(timer);
          resolve(answer);
        };
        open.set(id, { worker, done });
        if (!send(worker, id, question)) end(id, null);
      }),
    answered: end,
    left(worker) {
      for (const [id, one] of open) if (one.worker === worker) end(id, null);
    },
  };
}
