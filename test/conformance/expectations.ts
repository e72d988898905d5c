// What is known to fail: `expected-failures.yml` what the fixture itself fails, `not-yet.yml` what we do not do yet. I/O: two files.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { Column } from "./lab.ts";
import type { Revision } from "./suite.ts";

/** Scenarios with the reason. */
type Reasons = Readonly<Record<string, string>>;
type Table = Partial<Record<string, Partial<Record<string, Reasons>>>>;

function read(name: string): Table {
  const file = join(import.meta.dirname, name);
  return existsSync(file) ? ((parse(readFileSync(file, "utf8")) as Table | null) ?? {}) : {};
}

/** What the fixture itself fails, asked directly. */
export function expectedFailures(revision: Revision): readonly string[] {
  return Object.keys(read("expected-failures.yml")["direct"]?.[revision] ?? {}).sort();
}

/** What a column loses today. */
export function notYet(column: Column, revision: Revision): readonly string[] {
  return Object.keys(read("not-yet.yml")[column]?.[revision] ?? {}).sort();
}

/** What other tests must fail today, by the test's title. */
export function isMissing(group: "authorization" | "client" | "defects" | "matrix", title: string): boolean {
  return Object.hasOwn(read("not-yet.yml")["tests"]?.[group] ?? {}, title);
}
