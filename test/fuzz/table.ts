// The result of a differential run as a table for people. Pure.
import type { Outcome } from "./differential.ts";

const HEAD = ["reader and view", "kind", "cases", "accepted by both", "refused by it", "neighbours", "differences"];

export function tableText({ table }: Outcome): string {
  const rows = [...table]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, count]) => [
      ...key.split("\t"),
      ...[count.cases, count.accepted, count.refused, count.neighbours, count.differences].map(String),
    ]);
  const widths = HEAD.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  ");
  return [line(HEAD), ...rows.map(line)].join("\n");
}
