// What a target of the coverage-guided run is: one piece of code that takes bytes from outside, and what must hold for it.

export interface Target {
  /** Where to begin: small inputs of each form. */
  readonly seeds: readonly (string | Buffer)[];
  /** What is worth putting into an input. */
  readonly tokens: readonly string[];
  /** Runs the code on one input. @throws whatever is not declared, or a {@link Broken} */
  run(bytes: Buffer): void;
}

/** Something that must hold does not. */
export class Broken extends Error {}

export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Broken(what);
}
