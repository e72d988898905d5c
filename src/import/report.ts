// What an import says of its source, line by line: what could not be mapped, and what means another thing here. Pure.

/** Where something stands in the source. */
export interface Place {
  readonly line: number;
  /** As `spec.rules.authorization.admins.opa.rego`. */
  readonly key: string;
}

export interface Finding extends Place {
  readonly message: string;
}

/** Findings of one import, in the order of their lines. */
export class Report {
  readonly #unmapped = new Map<string, Finding>();
  readonly #notes = new Map<string, Finding>();

  /** Not in the result: exit code 2. @param message what it is, and what to do */
  unmapped({ line, key }: Place, message: string): void {
    this.#unmapped.set(`${line} ${key} ${message}`, { line, key, message });
  }

  /** In the result or by construction, and worth knowing. */
  note({ line, key }: Place, message: string): void {
    this.#notes.set(`${line} ${key} ${message}`, { line, key, message });
  }

  get faults(): readonly Finding[] {
    return [...this.#unmapped.values()].toSorted((a, b) => a.line - b.line);
  }

  get notes(): readonly Finding[] {
    return [...this.#notes.values()].toSorted((a, b) => a.line - b.line);
  }
}
