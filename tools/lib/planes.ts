// The table of docs/mesh/README.md: what each data plane answered to each question, as test/mesh recorded it.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

/** Question, then data plane, then what it said. */
export type PlaneResults = Readonly<Record<string, Readonly<Record<string, string>>>>;

const RESULTS = resolve(import.meta.dirname, "../../test/mesh/results.json");

export function planesTable(): string {
  const results = JSON.parse(readFileSync(RESULTS, "utf8")) as PlaneResults;
  const planes = [...new Set(Object.values(results).flatMap((row) => Object.keys(row)))];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rows = Object.entries(results).map(([question, row]) =>
    line([question, ...planes.map((plane) => row[plane] ?? "–")]),
  );
  return [line(["question", ...planes]), line(["", ...planes].map(() => "---")), ...rows].join("\n");
}
