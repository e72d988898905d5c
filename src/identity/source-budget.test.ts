import { expect, it } from "vitest";
import { sourceOf } from "../authz/source.ts";
import { createSourceBudget } from "./source-budget.ts";

it("ten seconds' failures at once, then so many a second; the same after a rest", () => {
  const clock = { ms: 1 };
  const budget = createSourceBudget({ perSecond: 20, monotonic: () => clock.ms });
  const untilSpent = () => {
    let failures = 0;
    for (; !budget.isSpent("a") && failures < 10_000; failures += 1) budget.spend("a");
    return failures;
  };
  expect(untilSpent()).toBe(200);
  expect(budget.isSpent("b")).toBe(false);
  clock.ms += 1000;
  expect(untilSpent()).toBe(20);
  clock.ms += 60_000;
  expect(untilSpent()).toBe(200);
});

it("the sources that are counted are bounded", () => {
  const budget = createSourceBudget({ perSecond: 1, monotonic: () => 1 });
  for (let i = 0; i < 20_000; i += 1) for (let n = 0; n < 10; n += 1) budget.spend(`10.0.${i >> 8}.${i % 256}`);
  expect([budget.isSpent("10.0.0.1"), budget.isSpent("10.0.78.31")]).toEqual([false, true]);
});

it.each([
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["::FFFF:192.0.2.7", "192.0.2.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:0DB8:0001:0002::", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["2001:db8:0:0:1::2", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["::", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["64:ff9b::192.0.2.7", "64:ff9b:0:0::/64"],
  ["1::2:3:4:5:6:7", "1:0:2:3::/64"],
  ["", ""],
  ["x".repeat(100), "x".repeat(64)],
])("the source of %s is %s", (address, source) => expect(sourceOf(address)).toBe(source));
