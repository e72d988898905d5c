// The suite against every column, and the table that docs/conformance.md has of it. I/O by lab and suite.
import { failing, lost, tallyOf } from "./compare.ts";
import { COLUMNS, type Column, type ConformanceLab } from "./lab.ts";
import { measureServer, REVISIONS, scoredScenarios, suiteVersion, type Measured, type Revision } from "./suite.ts";

export type Measurement = ReadonlyMap<Revision, ReadonlyMap<Column, Measured>>;

/** One after the other: timing of one run does not disturb another. */
export async function measureAll(lab: ConformanceLab, columns: readonly Column[] = COLUMNS): Promise<Measurement> {
  const measurement = new Map<Revision, Map<Column, Measured>>();
  for (const revision of REVISIONS) {
    const row = new Map<Column, Measured>();
    for (const column of columns) row.set(column, await measureServer(lab.urls[column], revision));
    measurement.set(revision, row);
  }
  return measurement;
}

const TITLES: Readonly<Record<Column, string>> = { direct: "direct", server: "`/servers/NAME/mcp`", merged: "`/mcp`" };

function cell(measured: Measured, scenario: string): string {
  const checks = measured.get(scenario);
  if (checks === undefined || checks.length === 0) return "broke off";
  const { passed, failed, warned, skipped } = tallyOf(checks);
  const others = [
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(warned > 0 ? [`${warned} warned`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ];
  return [String(passed), ...others].join(", ");
}

function sums(revision: Revision, measured: Measured): string {
  const scored = new Set(scoredScenarios(revision, "server"));
  const bad = new Set(failing(measured));
  const all = tallyOf([...measured.values()].flat());
  const ofScored = tallyOf([...measured].flatMap(([scenario, checks]) => (scored.has(scenario) ? checks : [])));
  const good = [...scored].filter((scenario) => measured.has(scenario) && !bad.has(scenario)).length;
  return `${all.passed} of ${all.passed + all.failed}; scored: ${ofScored.passed} of ${ofScored.passed + ofScored.failed}, ${good} of ${scored.size} scenarios`;
}

/** Markdown: the suite's version and a table per revision. */
export function tableOf(measurement: Measurement): string {
  const tables = [...measurement].map(([revision, columns]) => revisionTable(revision, columns));
  return [`Suite ${suiteVersion()}.`, ...tables].join("\n\n");
}

function revisionTable(revision: Revision, columns: ReadonlyMap<Column, Measured>): string {
  const scored = new Set(scoredScenarios(revision, "server"));
  const names = new Set([...columns.values()].flatMap((measured) => [...measured.keys()]));
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const lines = [
    row([`${revision}: checks passed`, ...[...columns.keys()].map((column) => TITLES[column])]),
    `|---|${"---|".repeat(columns.size)}`,
    row(["**all**", ...[...columns.values()].map((measured) => sums(revision, measured))]),
  ];
  for (const name of [...names].sort()) {
    const title = scored.has(name) ? name : `*${name}*`;
    lines.push(row([title, ...[...columns.values()].map((measured) => cell(measured, name))]));
  }
  return lines.join("\n");
}

/** What each column loses of what the fixture does directly. */
export function losses(measurement: Measurement): readonly string[] {
  return [...measurement].flatMap(([revision, columns]) => {
    const direct = columns.get("direct");
    if (direct === undefined) return [];
    return [...columns]
      .filter(([column]) => column !== "direct")
      .map(([column, measured]) => `${revision} ${column}: ${lost(direct, measured).join(", ") || "nothing is lost"}`);
  });
}
