// Writes every page, file and table that is made from the code. Run it after a change of the tables, keys, metrics or limits;
// tests compare.
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { valuesSchemaFile } from "./lib/chart.ts";
import { configSchemaFile, withKeyTables } from "./lib/config.ts";
import { withTable } from "./lib/page-tables.ts";
import { limitsTable } from "./lib/limits.ts";
import { metricsTable } from "./lib/metrics.ts";
import { planesTable } from "./lib/planes.ts";
import { refusalsPage } from "./lib/refusals.ts";

const ROOT = resolve(import.meta.dirname, "..");

function write(name: string, make: (before: string) => string): void {
  const path = resolve(ROOT, name);
  const before = readFileSync(path, "utf8");
  const after = make(before);
  if (after === before) return;
  writeFileSync(path, after);
  console.log(`${name} renewed`);
}

const metrics = await metricsTable();
write("docs/refusals.md", refusalsPage);
write("docs/limits.md", (page) => withTable(page, "limits", limitsTable()));
write("docs/operations.md", (page) => withTable(page, "metrics", metrics));
write("docs/mesh/README.md", (page) => withTable(page, "planes", planesTable()));
write("docs/configuration.md", withKeyTables);
write("docs/mcp-authz.schema.json", configSchemaFile);
write("deploy/helm/mcp-authz/values.schema.json", valuesSchemaFile);
