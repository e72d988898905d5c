// Makes the table of metrics of docs/operations.md out of the registries. A test compares the page.
import { knownMetrics } from "./registries.ts";

export async function metricsTable(): Promise<string> {
  const rows = (await knownMetrics()).map(({ name, type, labels, help }) => {
    const shown = labels.length === 0 ? "" : labels.map((label) => `\`${label}\``).join(", ");
    return `| \`${name}\` | ${type} | ${shown} | ${help} |`;
  });
  return ["| metric | type | labels | what it says |", "|---|---|---|---|", ...rows].join("\n");
}
