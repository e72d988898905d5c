// The headers of one CheckRequest out of a list of lines. Pure.
import type { RequestHeaders } from "../../authz/types.ts";

/** Names in lower case; the values of one name are joined by ",", as Envoy does. */
export class ListedHeaders implements RequestHeaders {
  readonly #values = new Map<string, string>();
  readonly #repeated = new Set<string>();

  readonly #order: readonly string[];

  /** @param order the names in lower case, in the order that they came in */
  constructor(lines: readonly (readonly [name: string, value: string])[], order: readonly string[]) {
    this.#order = order;
    for (const [line, value] of lines) {
      const name = line.toLowerCase();
      const before = this.#values.get(name);
      if (before !== undefined) this.#repeated.add(name);
      this.#values.set(name, before === undefined ? value : `${before},${value}`);
    }
  }

  /** The number of names in the lines. */
  get size(): number {
    return this.#values.size;
  }

  get(name: string): string | undefined {
    return this.#values.get(name);
  }

  repeated(name: string): boolean {
    return this.#repeated.has(name);
  }

  names(): Iterable<string> {
    return this.#order;
  }
}
