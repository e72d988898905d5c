// Remembers what a policy answered, within bounds. Pure but for what it keeps.
import { LRUCache } from "lru-cache";

const MAX_ANSWERS = 20_000;
/** Characters of keys and answers together. */
const MAX_SIZE = 16 * 1024 * 1024;
const MAX_ANSWER = 256 * 1024;

/** An answer: a frozen value, or undefined. */
export interface Answer {
  readonly value: unknown;
}

/** One for each entrypoint of one policy with its data: what it answers depends on nothing else. */
export interface AnswerMemory {
  get(key: string | null): Answer | undefined;
  /** @param size characters of the answer as text */
  set(key: string | null, answer: Answer, size: number): void;
}

export function createAnswerMemory(): AnswerMemory {
  const answers = new LRUCache<string, Answer>({ max: MAX_ANSWERS, maxSize: MAX_SIZE, maxEntrySize: MAX_ANSWER });
  return {
    get: (key) => (key === null ? undefined : answers.get(key)),
    set(key, answer, size) {
      if (key !== null) answers.set(key, answer, { size: key.length + size });
    },
  };
}
