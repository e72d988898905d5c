// Parts of `npm test` and `npm run test:containers`: one command or one vitest project after the other, counted.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Runs a command with its output on ours. */
export function run(title: string, command: string, args: readonly string[]): boolean {
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

/** Runs vitest and adds its tests to the counts. @param skipped receives the names of those that were skipped */
export function runSuite(name: string, args: readonly string[], counts: Counts, skipped: string[]): void {
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

/** Names what was skipped, prints the one last line, and sets the exit code. */
export function finish(counts: Counts, skipped: readonly string[]): void {
  if (skipped.length > 0) console.log(`\nSkipped here:\n${skipped.map((name) => `  ${name}`).join("\n")}`);
  console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}
