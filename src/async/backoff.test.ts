import { expect, it } from "vitest";
import { backoffMs } from "./backoff.ts";

const backoff = { firstMs: 250, maxMs: 2000, jitter: 0.5 };

it("doubles with each failure up to its maximum, and stays there", () => {
  const pauses = [1, 2, 3, 4, 5, 31, 32, 1e9].map((failures) => backoffMs(backoff, failures, 0.5));
  expect(pauses).toEqual([250, 500, 1000, 2000, 2000, 2000, 2000, 2000]);
});

it("leaves no more to chance than its jitter says", () => {
  expect([0, 0.5, 1].map((random) => backoffMs(backoff, 1, random))).toEqual([125, 250, 375]);
  expect(backoffMs({ ...backoff, jitter: 0 }, 1, 1)).toBe(250);
});
