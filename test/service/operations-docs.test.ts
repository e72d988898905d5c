// docs/operations.md tells what the code says: metrics, audit fields, events, sentences.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { withTable } from "../../tools/lib/page-tables.ts";
import { metricsTable } from "../../tools/lib/metrics.ts";
import { auditRecord } from "../../src/authz/audit-record.ts";
import { newCheckFacts } from "../../src/authz/facts.ts";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/operations.md"), "utf8");
const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
  .map((name) => readFileSync(join(root, "src", name), "utf8"));

/** The first cells of a section's table rows. */
function firstCells(heading: string): string[] {
  const section = page.split(/^## /m).find((text) => text.startsWith(heading)) ?? "";
  return [...section.matchAll(/^\| ([^|]+) \|/gm)].map(([, cell = ""]) => cell).filter((cell) => cell.includes("`"));
}
const spans = (cells: readonly string[]) =>
  cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text));

it("has the metrics of the registries: npm run docs", async () =>
  expect(withTable(page, "metrics", await metricsTable())).toBe(page));

it("has every field of the audit line, and no other", () => {
  const clock = { now: () => 0, isoTime: String };
  const record = auditRecord(newCheckFacts("r", 0), { decision: "allow", reason: null, detail: null }, clock);
  const fields = Object.keys(record);
  expect(spans(firstCells("Audit log")).toSorted()).toEqual(fields.toSorted());
});

it("has every event with its level, and no other", () => {
  const logged = sources.flatMap((text) => [...text.matchAll(/log\.(debug|info|warn|error)\(\s*"(\w+)"/g)]);
  const restarts = sources.flatMap((text) =>
    [...text.matchAll(/restart\("(\w+)"/g)].map(([, event = ""]) => ["", "error", event]),
  );
  const coded = new Set([...logged, ...restarts].map(([, level = "", event = ""]) => `${event} ${level}`));
  const rows = page.matchAll(/^\| ((?:`\w+`(?:, )?)+) \| (debug|info|warn|error) \|/gm);
  const told = [...rows].flatMap(([, events = "", level = ""]) => spans([events]).map((event) => `${event} ${level}`));
  expect(told.toSorted()).toEqual([...coded].toSorted());
});

it.each(spans(firstCells("When it says")))("the sentence is in the code: %s", (sentence) => {
  const pieces = sentence.split(/…|(?<=\]): /).filter((piece) => piece !== ""); // ConfigProblem puts ": " behind a key
  expect(
    sources.some((text) => pieces.every((piece) => text.includes(piece))),
    sentence,
  ).toBe(true);
});
