// What a column of the measurement is worth beside the fixture's own: pure.
import type { Check, Measured } from "./suite.ts";

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly warned: number;
  readonly skipped: number;
}

export function tallyOf(checks: readonly Check[]): Tally {
  const count = (status: Check["status"]) => checks.filter((check) => check.status === status).length;
  return { passed: count("SUCCESS"), failed: count("FAILURE"), warned: count("WARNING"), skipped: count("SKIPPED") };
}

/** A scenario is failing when one check failed or warned, or when it broke off. */
export function failing(measured: Measured): readonly string[] {
  const bad = [...measured].filter(([, checks]) => {
    const { failed, warned } = tallyOf(checks);
    return checks.length === 0 || failed + warned > 0;
  });
  return bad.map(([scenario]) => scenario).sort();
}

/**
 * Scenarios with a check that passes directly and does not through us. One that the suite only notes (INFO) is of something
 * optional, like a stream where one JSON text does.
 */
export function lost(direct: Measured, through: Measured): readonly string[] {
  const differing = [...direct].filter(([scenario, checks]) => {
    const passedDirectly = idsOf(checks, ["SUCCESS"]);
    const passedThrough = idsOf(through.get(scenario) ?? [], ["SUCCESS", "INFO"]);
    return [...passedDirectly].some(([id, times]) => (passedThrough.get(id) ?? 0) < times);
  });
  return differing.map(([scenario]) => scenario).sort();
}

function idsOf(checks: readonly Check[], kept: readonly Check["status"][]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { id, status } of checks) if (kept.includes(status)) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

/** What the suite said of a scenario's bad checks, for people. */
export function complaints(measured: Measured, scenarios: readonly string[]): string {
  const lines = scenarios.flatMap((scenario) => {
    const bad = (measured.get(scenario) ?? []).filter(({ status }) => status !== "SUCCESS" && status !== "INFO");
    const said = bad.map(({ id, status, errorMessage = "" }) => `  ${id} ${status}: ${errorMessage.slice(0, 300)}`);
    return [`${scenario}${bad.length === 0 ? ": checks are missing" : ""}`, ...said];
  });
  return lines.join("\n");
}
