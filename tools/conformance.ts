// `npm run conformance [-- COLUMN …]`: runs the published suite directly and through the gateway, and writes the tables of
// docs/conformance.md. With columns (direct, server, merged) it prints those, and writes nothing.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { COLUMNS, startConformanceLab, type Column } from "../test/conformance/lab.ts";
import { losses, measureAll, tableOf } from "../test/conformance/measurement.ts";
import { withTable } from "./lib/page-tables.ts";

const PAGE = resolve(import.meta.dirname, "../docs/conformance.md");

async function measure(columns: readonly Column[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-conformance-"));
  const lab = await startConformanceLab(folder);
  try {
    const measurement = await measureAll(lab, columns);
    console.log(`${tableOf(measurement)}\n\n${losses(measurement).join("\n")}`);
    if (columns !== COLUMNS) return;
    const page = readFileSync(PAGE, "utf8");
    writeFileSync(PAGE, withTable(page, "conformance", tableOf(measurement)));
  } finally {
    await lab.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const asked = process.argv.slice(2);
const columns = asked.length === 0 ? COLUMNS : COLUMNS.filter((column) => asked.includes(column));
if (columns.length === 0 || (asked.length > 0 && columns.length < asked.length)) {
  console.error(`conformance: columns are ${COLUMNS.join(", ")}`);
  process.exitCode = 2;
} else {
  const tools = ["tools/install-tools.ts", "envoy", "opa"];
  const { status } = spawnSync(process.execPath, tools, { stdio: ["ignore", "inherit", "inherit"] });
  if (status === 0) await measure(columns);
  else process.exitCode = 1;
}
