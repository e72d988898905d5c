// What an import says of its source, line by line: what could not be mapped, and what means another thing here. Pure.

/** Where something stands in the source. */
export interface Place {
  readonly line: number;
  /** As `spec.rules.authorization.admins.opa.rego`. */
  readonly key: string;
  /** Says that all that stands there was named. */
  take?(): void;
}

export interface Finding extends Place {
  readonly message: string;
}

/** Findings of one import, in the order of their lines. */
export class Report {
  readonly #unmapped = new Map<string, Finding>();
  readonly #notes = new Map<string, Finding>();
  #refusesEverybody: number | null = null;

  /** Not in the result: exit code 2. Whom it restricts is not known, so the rules let nobody in. @param message what it is, and what to do */
  unmapped(place: Place, message: string): void {
    this.leftOut(place, message);
    this.#refusesEverybody ??= place.line;
  }

  /** Not in the result: exit code 2. Without it nobody comes in whom the source refuses: a rule in its place has no value, or it lets somebody in. */
  leftOut(place: Place, message: string): void {
    const { line, key } = place;
    place.take?.();
    this.#unmapped.set(`${line} ${key} ${message}`, { line, key, message });
  }

  /** The line of the source for which nobody is let in; null where each fault stands in its own rule. */
  get refusesEverybody(): number | null {
    return this.#refusesEverybody;
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
