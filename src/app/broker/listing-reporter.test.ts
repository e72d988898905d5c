import { expect, it } from "vitest";
import type { ServerSnapshot } from "../../broker/catalog/listed-server.ts";
import { remark, type ListingStats } from "../../broker/catalog/remarks.ts";
import { createLog } from "../../ops/log.ts";
import { listingReporter } from "./listing-reporter.ts";

it("B17c: what is left out is in the log once by name, and again when it changes", () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLog((line) => lines.push(JSON.parse(line) as Record<string, unknown>), "info", Date.now);
  const report = listingReporter({ listed: () => {} }, log);
  const listed = (...names: string[]) => {
    const stats: ListingStats = { dropped: {}, changed: {} };
    for (const name of names) remark(stats.dropped, "name", name);
    return { stats } as ServerSnapshot;
  };
  report("a", null, listed());
  expect(lines).toEqual([]);
  for (let i = 0; i < 3; i += 1) report("a", null, listed("Create CIFS Share", "x\u001b[8m"));
  report("a", "timeout", listed("Create CIFS Share"));
  report("a", null, listed("y z"));
  report("a", null, listed());
  expect(lines.map(({ event, leftOut }) => [event, leftOut])).toEqual([
    ["definitions_changed", "name: 2 (Create CIFS Share, x\\u{1b}[8m)"],
    ["upstream_not_listed", undefined],
    ["upstream_listed_again", undefined],
    ["definitions_changed", "name: 1 (y z)"],
    ["definitions_changed", ""],
  ]);
});

it("D10: what a direct route cannot carry is in the log once, and again when it changes", () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLog((line) => lines.push(JSON.parse(line) as Record<string, unknown>), "info", Date.now);
  const report = listingReporter({ listed: () => {} }, log);
  const listed = (...faults: string[]) => ({ direct: { revisions: [], faults } }) as unknown as ServerSnapshot;
  for (const faults of [[], ["needs_session"], ["needs_session"], [], ["older_only"]])
    report("a", null, listed(...faults));
  expect(lines.map(({ event, server, message }) => [event, server, message])).toEqual([
    ["direct_cannot_carry", "a", "needs_session"],
    ["direct_cannot_carry", "a", "older_only"],
  ]);
});
