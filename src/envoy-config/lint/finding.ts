// What the linter says: one sentence and one fix for each finding, with its place. Pure.

/** `high`: unchecked, or another thing than what was judged. `medium`: one guard less. `low`: refuses or cuts what is right. */
export type Severity = "high" | "medium" | "low";

/** Where a finding is; the parts that do not apply are left out. */
export interface Place {
  readonly listener?: string;
  readonly filterChain?: string;
  readonly filter?: string;
  readonly virtualHost?: string;
  readonly route?: string;
  readonly cluster?: string;
  readonly bootstrap?: string;
}

export interface Finding {
  /** Stable name of the rule, for suppressing and for searching. */
  readonly rule: string;
  readonly severity: Severity;
  readonly place: Place;
  readonly message: string;
  readonly fix: string;
}

const ORDER: readonly Severity[] = ["high", "medium", "low"];

export function bySeverity(a: Finding, b: Finding): number {
  return ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity);
}
