// `npm test`: brings the tools that the tests need, then format, lint, types, dead code, unit and service tests, and the
// end-to-end tests with the real Envoy. Ends on one line: N passed, N failed, N skipped.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CHECKS: readonly (readonly [string, string, readonly string[]])[] = [
  ["format", "oxfmt", ["--check"]],
  ["lint", "oxlint", ["--type-aware"]],
  ["types", "tsc", ["--noEmit"]],
  ["unused code", "knip", []],
];
const SUITES: readonly (readonly [string, readonly string[]])[] = [
  ["unit", ["run", "--project", "unit"]],
  ["e2e", ["run", "--project", "e2e", "--no-file-parallelism"]],
];

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

function run(title: string, command: string, args: readonly string[]): boolean {
  const started = Date.now();
  console.log(`\n── ${title}: ${command} ${args.join(" ")}`);
  const { status } = spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"] });
  console.log(`── ${title}: ${status === 0 ? "ok" : "FAILED"} after ${Math.round((Date.now() - started) / 1000)} s`);
  return status === 0;
}

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

function isSkipped({ status }: { readonly status: string }): boolean {
  return status !== "passed" && status !== "failed";
}

function runSuite(name: string, args: readonly string[], counts: Counts, skipped: string[]): void {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-test-"));
  const file = join(folder, "report.json");
  const ok = run(`${name} tests`, "vitest", [
    ...args,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${file}`,
  ]);
  try {
    const report = JSON.parse(readFileSync(file, "utf8")) as Report;
    counts.passed += report.numPassedTests;
    counts.failed += report.numFailedTests;
    counts.skipped += report.numPendingTests + report.numTodoTests;
    for (const result of report.testResults) {
      skipped.push(...result.assertionResults.filter(isSkipped).map(({ fullName }) => fullName));
    }
    // A file that does not even load fails the run without a failed test.
    if (!ok && report.numFailedTests === 0) counts.failed += 1;
  } catch {
    counts.failed += 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
const skipped: string[] = [];
const tools = spawnSync(process.execPath, ["scripts/tools.ts", "envoy", "bao", "opa", "python-sdk"], {
  stdio: ["ignore", "inherit", "inherit"],
});
if (tools.status !== 0) counts.failed += 1;
for (const [title, command, args] of CHECKS) counts[run(title, command, args) ? "passed" : "failed"] += 1;
for (const [name, args] of SUITES) runSuite(name, args, counts, skipped);
if (skipped.length > 0) console.log(`\nSkipped here:\n${skipped.map((name) => `  ${name}`).join("\n")}`);
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 ? 0 : 1;
