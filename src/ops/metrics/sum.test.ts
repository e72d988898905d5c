import { expect, it } from "vitest";
import { createMetrics, type Metrics } from "./serve.ts";
import { createSumOfWorkers, type Snapshot } from "./sum.ts";

/** As it comes from another thread. */
async function seen(metrics: Metrics, thread: number) {
  return { thread, values: JSON.parse(JSON.stringify(await metrics.snapshot())) as Snapshot };
}

function valueIn(page: string, series: string): number {
  const line = page.split("\n").find((one) => one.startsWith(`${series} `));
  return Number(line?.split(" ").at(-1));
}
const ALLOWED = 'mcp_authz_checks_total{decision="allow",reason=""}';

function counting(worker: number, checks: number): Metrics {
  const metrics = createMetrics(worker);
  for (let n = 0; n < checks; n += 1) metrics.observeCheck("allow", null, 0.002);
  return metrics;
}

it("adds counters and histograms, and says of a state what the worst worker says", async () => {
  const [a, b] = [counting(0, 3), counting(1, 4)];
  a.policyRevision("r1");
  b.policyRevision("r1");
  b.revocations(5, true);
  a.runaways(2);
  b.runaways(2);
  const sum = createSumOfWorkers();
  const page = await sum.render(new Map([[0, await seen(a, 1)], [1, await seen(b, 2)]])); // prettier-ignore
  expect(
    [
      ...[ALLOWED, 'mcp_authz_worker_checks_total{worker="0"}', 'mcp_authz_worker_checks_total{worker="1"}'],
      ...['mcp_authz_check_seconds_count{decision="allow"}', 'mcp_authz_policy_info{revision="r1"}'],
      ...["mcp_authz_revocations", "mcp_authz_revocations_stale", "mcp_authz_runaways_total"],
    ].map((series) => valueIn(page, series)),
  ).toEqual([7, 3, 4, 7, 1, 5, 1, 2]);
});

it("what an ended thread had counted stays, whether its worker is away or another one counts from 0", async () => {
  const sum = createSumOfWorkers();
  const other = counting(1, 10);
  const both = async (metrics: Metrics, thread: number) =>
    sum.render(new Map([[0, await seen(metrics, thread)], [1, await seen(other, 9)]])); // prettier-ignore
  expect(valueIn(await both(counting(0, 5), 1), ALLOWED)).toBe(15);
  expect(valueIn(await sum.render(new Map([[1, await seen(other, 9)]])), ALLOWED)).toBe(15);
  expect(valueIn(await both(counting(0, 1), 2), ALLOWED)).toBe(16);
  const page = await both(counting(0, 2), 3);
  expect(valueIn(page, ALLOWED)).toBe(18);
  expect(valueIn(page, 'mcp_authz_check_seconds_count{decision="allow"}')).toBe(18);
  expect(valueIn(page, 'mcp_authz_check_seconds_bucket{le="+Inf",decision="allow"}')).toBe(18);
});
