// `npm test`: brings the tools that the tests need, then format, lint, types, dead code, unit and service tests, and the
// end-to-end tests with the real Envoy. Ends on one line: N passed, N failed, N skipped.
import { spawnSync } from "node:child_process";
import { count, finish, noCounts, run, runSuite } from "./lib/suite.ts";

const CHECKS: readonly (readonly [string, string, readonly string[]])[] = [
  ["format", "oxfmt", ["--check"]],
  ["lint", "oxlint", ["--type-aware"]],
  ["types", "tsc", ["--noEmit"]],
  ["unused code", "knip", []],
];
const SUITES: readonly (readonly [string, readonly string[]])[] = [
  ["unit", ["run", "--project", "unit"]],
  ["e2e", ["run", "--project", "e2e", "--no-file-parallelism"]],
  ["conformance", ["run", "--project", "conformance", "--no-file-parallelism"]],
];

const counts = noCounts();
// What the matrix of clients and servers has none of is named as skipped.
const clients = ["tools/install-tools.ts", "python-mcp1", "python-mcp2", "go-client"];
const tools = spawnSync(process.execPath, ["tools/install-tools.ts", "envoy", "bao", "opa", "python-sdk"], {
  stdio: ["ignore", "inherit", "inherit"],
});
if (tools.status !== 0) count(counts, "the tools that the tests need", false);
spawnSync(process.execPath, clients, { stdio: ["ignore", "inherit", "inherit"] });
for (const [title, command, args] of CHECKS) count(counts, title, run(title, command, args));
for (const [name, args] of SUITES) runSuite(name, args, counts);
finish(counts);
