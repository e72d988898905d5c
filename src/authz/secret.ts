import { inspect } from "node:util";

/**
 * A value that must not be printed. Every way of turning it into text gives `[secret]`; only {@link reveal} gives the
 * value, so that one search finds each place where it leaves.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
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
