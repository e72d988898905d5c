// A value that is never printed. Pure.
import { inspect } from "node:util";

/**
 * A value that must not be printed. Every way of turning it into text gives `[secret]`; only {@link reveal} gives the
 * value, so that one search finds each place where it leaves.
 */
export class Secret {
  readonly #value: string;
  readonly #again: (() => string) | null;

  /** @param again reads the source again */
  constructor(value: string, again: (() => string) | null = null) {
    this.#value = value;
    this.#again = again;
  }

  /** The current value of its source; this value where the source cannot be read. */
  latest(): Secret {
    try {
      return this.#again === null ? this : new Secret(this.#again(), this.#again);
    } catch {
      return this;
    }
  }

  /** In characters, for memory accounting. */
  get length(): number {
    return this.#value.length;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [inspect.custom](): string {
    return "[secret]";
  }
}
