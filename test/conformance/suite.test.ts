// The published suite against the fixture, directly and through Envoy, serve and broker, in one run: nothing is lost on the way.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withTable } from "../../tools/lib/page-tables.ts";
import { complaints, failing, lost } from "./compare.ts";
import { expectedFailures, notYet } from "./expectations.ts";
import { startConformanceLab, type Column, type ConformanceLab } from "./lab.ts";
import { measureAll, tableOf, type Measurement } from "./measurement.ts";
import { REVISIONS, type Measured, type Revision } from "./suite.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-conformance-"));
let lab: ConformanceLab;
let measurement: Measurement;

beforeAll(async () => {
  lab = await startConformanceLab(folder);
  measurement = await measureAll(lab);
}, 300_000);
afterAll(async () => {
  await lab.stop();
  rmSync(folder, { recursive: true, force: true });
});

const measured = (revision: Revision, column: Column): Measured => {
  const found = measurement.get(revision)?.get(column);
  if (found === undefined) throw new Error("not measured");
  return found;
};

describe.each(REVISIONS)("%s", (revision) => {
  it("the fixture fails only what expected-failures.yml names", () => {
    const direct = measured(revision, "direct");
    const bad = failing(direct);
    expect(bad, complaints(direct, bad)).toEqual(expectedFailures(revision));
    expect(direct.size).toBeGreaterThan(30);
  });

  it.each(["server", "merged"] as const)("through us (%s) nothing is lost but what not-yet.yml names", (column) => {
    const through = measured(revision, column);
    const less = lost(measured(revision, "direct"), through);
    expect(less, complaints(through, less)).toEqual(notYet(column, revision));
  });
});

it("docs/conformance.md has what was measured: npm run conformance", () => {
  const page = readFileSync(resolve(import.meta.dirname, "../../docs/conformance.md"), "utf8");
  expect(withTable(page, "conformance", tableOf(measurement))).toBe(page);
});
