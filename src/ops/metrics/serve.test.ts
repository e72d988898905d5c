import fc from "fast-check";
import { Histogram, Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { REFUSALS } from "../../authz/refusal.ts";
import { createMetrics } from "./serve.ts";
import { createHotCounter, createHotHistogram } from "./hot-path.ts";

const linesOf = (text: string) =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .toSorted();

describe("the metrics of the decision path", () => {
  it("a histogram reads like prom-client's own", async () => {
    const bounds = [0.001, 0.01, 0.1];
    const names = { name: "x_seconds", help: "X", labelNames: ["step"] };
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(
            fc.constantFrom("a", "b"),
            fc.oneof(fc.constantFrom(0, ...bounds), fc.double({ min: 0, max: 1, noNaN: true })),
          ),
        ),
        async (observations) => {
          const [ours, theirs] = [new Registry(), new Registry()];
          const reference = new Histogram({ ...names, labelNames: ["step"], buckets: bounds, registers: [theirs] });
          const times = createHotHistogram(ours, names, bounds);
          const series = { a: times("a"), b: times("b") };
          for (const step of ["a", "b"]) reference.zero({ step });
          for (const [step, seconds] of observations) {
            series[step as "a" | "b"].observe(seconds);
            reference.observe({ step }, seconds);
          }
          expect(linesOf(await ours.metrics())).toEqual(linesOf(await theirs.metrics()));
        },
      ),
      { numRuns: 50 },
    );
  });

  it("a tally gives the same twice, and goes on", async () => {
    const registry = new Registry();
    const tally = createHotCounter(registry, { name: "x_total", help: "X", labelNames: ["a", "b"] });
    const cell = tally("1", 'q"');
    tally("2", "");
    cell.count += 3;
    const expected = ['x_total{a="1",b="q\\""} 3', 'x_total{a="2",b=""} 0'];
    for (let i = 0; i < 2; i += 1) expect(linesOf(await registry.metrics())).toEqual(expect.arrayContaining(expected));
    cell.count += 1;
    expect(await registry.metrics()).toContain('x_total{a="1",b="q\\""} 4');
  });

  it("every row of the refusal table is there from the start, and counts by its kind", async () => {
    const metrics = createMetrics();
    const before = await metrics.render();
    for (const [reason, { kind }] of Object.entries(REFUSALS)) {
      expect(before).toContain(`mcp_authz_checks_total{decision="${kind}",reason="${reason}"} 0`);
    }
    metrics.observeCheck("allow", null, 0.002);
    metrics.observeCheck("deny", "policy_denied", 0.002);
    metrics.observeStep("decide", 0.00001);
    metrics.cache("token", "hit");
    metrics.cache("token", "hit");
    const text = await metrics.render();
    expect(text).toContain('mcp_authz_checks_total{decision="allow",reason=""} 1');
    expect(text).toContain('mcp_authz_checks_total{decision="deny",reason="policy_denied"} 1');
    expect(text).toContain('mcp_authz_check_seconds_count{decision="allow"} 1');
    expect(text).toContain('mcp_authz_check_seconds_bucket{le="0.0025",decision="deny"} 1');
    expect(text).toContain('mcp_authz_step_seconds_bucket{le="0.0005",step="decide"} 1');
    expect(text).toContain('mcp_authz_cache_requests_total{cache="token",result="hit"} 2');
  });
});
