import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createCallTimeout } from "./call-timeout.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it("a call that has ended leaves no timer, however often its limit was set", () => {
  const timeout = createCallTimeout(1000, () => 0);
  for (let round = 0; round < 3; round += 1) timeout.endAt(60_000);
  timeout.clear();
  expect(vi.getTimerCount()).toBe(0);
});
