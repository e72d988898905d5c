// The headers of one CheckRequest out of a list of lines. Pure.
import type { RequestHeaders } from "../../authz/types.ts";

/** Names in lower case; the values of one name are joined by ",", as Envoy does. */
export class ListedHeaders implements RequestHeaders {
  readonly #values = new Map<string, string>();
  readonly #repeated = new Set<string>();

  constructor(lines: readonly (readonly [name: string, value: string])[]) {
    for (const [line, value] of lines) {
      const name = line.toLowerCase();
      const before = this.#values.get(name);
      if (before !== undefined) this.#repeated.add(name);
      this.#values.set(name, before === undefined ? value : `${before},${value}`);
    }
  }

  get(name: string): string | undefined {
    return this.#values.get(name);
  }

  repeated(name: string): boolean {
    return this.#repeated.has(name);
  }

  names(): Iterable<string> {
    return this.#values.keys();
  }
}
