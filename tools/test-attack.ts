// `npm run test:attack [-- --seconds N] [-- --report FILE] [-- NAME …]`: attacks on the whole gateway, each while an honest
// caller goes on. Prints a table of what was measured. Ends on one line: N passed, N failed, N skipped.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Phase, Row } from "../test/attack/measure.ts";
import { memoryLimits, PROCESSES } from "../test/attack/settings.ts";
import { count, finish, noCounts, runSuite } from "./lib/suite.ts";

const { values, positionals } = parseArgs({
  options: { seconds: { type: "string" }, report: { type: "string" } },
  allowPositionals: true,
});

/** Markdown, for docs/limits.md. */
function table(rows: readonly Row[]): string {
  const limits = memoryLimits();
  const ms = ({ p50, p99 }: Phase) => `${p50.toFixed(0)} / ${p99.toFixed(0)}`;
  const head = [
    "| attack | quiet p50 / p99, ms | under attack p50 / p99, ms | succeeded | peak MiB: envoy / serve / broker |",
    "|---|---|---|---|---|",
  ];
  const lines = rows.map(({ name, quiet, attacked, peakMiB }) => {
    const succeeded = `${((100 * attacked.succeeded) / Math.max(1, attacked.requests)).toFixed(1)} %`;
    const peaks = PROCESSES.map((each) => peakMiB[each]).join(" / ");
    return `| ${name} | ${ms(quiet)} | ${ms(attacked)} | ${succeeded} of ${attacked.requests} | ${peaks} |`;
  });
  const bounds = `| *limit* | | < 10 × quiet | ≥ 99 % | ${PROCESSES.map((each) => limits[each]).join(" / ")} |`;
  return [...head, ...lines, bounds, ""].join("\n");
}

const counts = noCounts();
const tools = spawnSync(process.execPath, ["tools/install-tools.ts", "envoy", "bao", "opa"], {
  stdio: ["ignore", "inherit", "inherit"],
});
if (tools.status !== 0) count(counts, "the tools that the tests need", false);
const folder = mkdtempSync(join(tmpdir(), "mcp-authz-attacks-"));
const rowsFile = join(folder, "rows.jsonl");
writeFileSync(rowsFile, "");
process.env["ATTACK_ROWS"] = rowsFile;
if (values.seconds !== undefined) process.env["ATTACK_SECONDS"] = values.seconds;
try {
  runSuite("attack", ["run", "--project", "attack", ...positionals], counts);
  const lines = readFileSync(rowsFile, "utf8").split("\n").slice(0, -1);
  const text = table(lines.map((line) => JSON.parse(line) as Row));
  console.log(`\n${text}`);
  if (values.report !== undefined) writeFileSync(values.report, text);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
finish(counts);
