// Parts of `npm test` and `npm run test:containers`: one command or one vitest project after the other, counted.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
  /** Names of the skipped tests. */
  readonly skippedNames: string[];
  /** Each failed test with its first message, or the part that failed as a whole. */
  readonly failures: string[];
}

export function noCounts(): Counts {
  return { passed: 0, failed: 0, skipped: 0, skippedNames: [], failures: [] };
}

/** Counts one part that is no test by itself (a check, a tool). */
export function count(counts: Counts, title: string, ok: boolean): void {
  if (ok) {
    counts.passed += 1;
  } else {
    counts.failed += 1;
    counts.failures.push(title);
  }
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
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** A message long enough to know the cause and short enough for a list. */
function shortened(text: string): string {
  const lines = text.split("\n").slice(0, 12);
  return lines.map((line) => `      ${line.slice(0, 300)}`).join("\n");
}

function add({ name, message, assertionResults }: Report["testResults"][number], counts: Counts): void {
  for (const { status, fullName, failureMessages } of assertionResults) {
    if (status === "failed") counts.failures.push(`${name}: ${fullName}\n${shortened(failureMessages.join("\n"))}`);
    else if (status !== "passed") counts.skippedNames.push(fullName);
  }
  // Of a file that does not load, or whose preparation failed.
  if (message !== "") counts.failures.push(`${name}\n${shortened(message)}`);
}

/** Runs vitest and adds its tests to the counts. */
export function runSuite(name: string, args: readonly string[], counts: Counts): void {
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
    for (const result of report.testResults) add(result, counts);
    // A file that does not even load, or an error outside of any test, fails the run without a failed test.
    if (!ok && report.numFailedTests === 0) count(counts, `${name} tests: see above`, false);
  } catch {
    count(counts, `${name} tests: no report`, false);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Names what was skipped and what failed, prints the one last line, and sets the exit code. */
export function finish(counts: Counts): void {
  const { skippedNames, failures } = counts;
  if (skippedNames.length > 0) console.log(`\nSkipped here:\n${skippedNames.map((name) => `  ${name}`).join("\n")}`);
  if (failures.length > 0) console.log(`\nFailed:\n${failures.map((failure) => `  ${failure}`).join("\n")}`);
  console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}
