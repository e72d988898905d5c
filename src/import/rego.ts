// Rego text that an import writes: rules with names of their own, each with the line that it comes from. Pure.

/** A Rego term, for example `r3` or `cel.get(identity, "sub")`. Undefined where the source has an error. */
export type Term = string;

/** One way in which a rule has a value: all conditions hold. */
export interface Clause {
  readonly value: Term;
  readonly when: readonly string[];
}

/** Collects rules. Their terms may use the variables that they are given as parameters. */
export class Rules {
  readonly #lines: string[] = [];
  #count = 0;

  /**
   * Adds a rule. @param variables bound around it, in their order
   * @returns the term for it: undefined where no clause holds
   */
  add(clauses: readonly Clause[], variables: readonly string[] = []): Term {
    this.#count += 1;
    const name = `r${this.#count}${variables.length === 0 ? "" : `(${variables.join(", ")})`}`;
    for (const { value, when } of clauses)
      this.#lines.push(
        `${name} := ${value}${when.length === 0 ? "" : ` if {\n${when.map((one) => `\t${one}\n`).join("")}}`}`,
        "",
      );
    return name;
  }

  /** A rule that never has a value: what could not be mapped allows nothing, negated or not. */
  unmapped(line: number): Term {
    this.#lines.push(`# NOT MAPPED: line ${line}`);
    return this.add([{ value: "true", when: ["1 == 2"] }]);
  }

  comment(text: string): void {
    this.#lines.push(`# ${text.replaceAll(/[^\x20-\x7e]/g, "?")}`);
  }

  line(...lines: readonly string[]): void {
    this.#lines.push(...lines, "");
  }

  get text(): string {
    return this.#lines.join("\n");
  }
}

/** A text as a Rego literal. */
export function literal(text: string): string {
  return JSON.stringify(text.toWellFormed());
}

/** A larger whole number was another one in the source. */
const isExact = (value: number) => Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));

/** A value of the source as a Rego literal; null for what has none. */
export function valueLiteral(value: unknown): string | null {
  if (typeof value === "string") return literal(value);
  if (typeof value === "boolean" || value === null) return String(value);
  if (typeof value === "number") return isExact(value) ? JSON.stringify(value) : null;
  if (Array.isArray(value)) {
    const items = value.map(valueLiteral);
    return items.includes(null) ? null : `[${items.join(", ")}]`;
  }
  if (typeof value !== "object") return null;
  const members = Object.entries(value).map(([name, one]) => [literal(name), valueLiteral(one)] as const);
  return members.some(([, one]) => one === null)
    ? null
    : `{${members.map(([name, one]) => `${name}: ${one}`).join(", ")}}`;
}

/** `a` and `b`: false where one is false, true where all are, else undefined (an error of the source). */
export function allOf(rules: Rules, terms: readonly Term[], variables: readonly string[] = []): Term {
  const [only] = terms;
  if (only === undefined) return "true";
  return rules.add(
    [
      { value: "true", when: terms.map((term) => `${term} == true`) },
      ...terms.map((term) => ({ value: "false", when: [`${term} == false`] })),
    ],
    variables,
  );
}

/** The reverse of {@link allOf}: true where one is true, false where all are. */
export function anyOf(rules: Rules, terms: readonly Term[], variables: readonly string[] = []): Term {
  if (terms.length === 0) return "false";
  return rules.add(
    [
      ...terms.map((term) => ({ value: "true", when: [`${term} == true`] })),
      { value: "false", when: terms.map((term) => `${term} == false`) },
    ],
    variables,
  );
}
