// Why a policy cannot be had, as a closed set: commands branch on `code`, people read `lines`. Pure.

export type PolicyErrorCode =
  /** No `opa` is there, and the rules need one. */
  | "opa_missing"
  /** An `opa` is there that makes other policies than its sources say. */
  | "opa_refused"
  /** opa refuses the rules. */
  | "rules_invalid"
  /** A file of data is not what every reader takes it for. */
  | "data_invalid";

export class PolicyError extends Error {
  readonly code: PolicyErrorCode;
  /** For a terminal; the first one stands alone in a log. */
  readonly lines: readonly string[];

  constructor(code: PolicyErrorCode, lines: readonly string[], cause?: unknown) {
    super(lines.join("\n"), { cause });
    this.name = "PolicyError";
    this.code = code;
    this.lines = lines;
  }
}

/** One line for logs and `/readyz`: the first one, and how many follow. */
export function firstLine(error: unknown): string {
  if (!(error instanceof Error)) return "failed";
  const [first = "failed", ...rest] = error.message.split("\n");
  return rest.length === 0 ? first : `${first} (and ${rest.length} more line${rest.length === 1 ? "" : "s"})`;
}
