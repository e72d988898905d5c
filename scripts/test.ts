// `npm test`: brings the tools that the tests need, then format, lint, types, dead code, unit and service tests, and the
// end-to-end tests with the real Envoy. Ends on one line: N passed, N failed, N skipped.
import { spawnSync } from "node:child_process";
import { finish, run, runSuite, type Counts } from "./lib/suite.ts";

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

const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
const skipped: string[] = [];
const tools = spawnSync(process.execPath, ["scripts/tools.ts", "envoy", "bao", "opa", "python-sdk"], {
  stdio: ["ignore", "inherit", "inherit"],
});
if (tools.status !== 0) counts.failed += 1;
for (const [title, command, args] of CHECKS) counts[run(title, command, args) ? "passed" : "failed"] += 1;
for (const [name, args] of SUITES) runSuite(name, args, counts, skipped);
finish(counts, skipped);
