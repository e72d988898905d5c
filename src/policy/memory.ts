// Remembers what a policy answered, within bounds. Pure but for what it keeps.
import { LRUCache } from "lru-cache";

/** Characters of keys and answers together: at most 60,000 answers. */
const MAX_SIZE = 16 * 1024 * 1024;
/** What an answer takes besides, in the same unit. */
const OVERHEAD = 256;
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
  // Without `max`, which would take its memory at once.
  const answers = new LRUCache<string, Answer>({ maxSize: MAX_SIZE, maxEntrySize: MAX_ANSWER });
  return {
    get: (key) => (key === null ? undefined : answers.get(key)),
    set(key, answer, size) {
      if (key !== null) answers.set(key, answer, { size: OVERHEAD + key.length + size });
    },
  };
}
