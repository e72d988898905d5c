import { describe, expect, it, vi } from "vitest";
import { cacheKey, createAnswerCache, type Kept } from "./answer-cache.ts";
import type { Answer } from "./source.ts";

const never = new AbortController().signal;
const HAS_NONE: Answer = { hasNone: "404" };
const once = (kept: Kept) => vi.fn<() => Promise<Kept>>(() => Promise.resolve(kept));

describe("createAnswerCache", () => {
  it("P5: fifty callers at once ask once", async () => {
    const cache = createAnswerCache();
    const ask = once({ answer: HAS_NONE, ttlMs: 1000 });
    await Promise.all(Array.from({ length: 50 }, async () => cache.get("k", ask, never)));
    expect(ask).toHaveBeenCalledTimes(1);
    expect(cache.get("k", ask, never)).toBe(HAS_NONE);
  });
  it("H04: an answer lives for its own time and no longer", async () => {
    let now = 1;
    const cache = createAnswerCache({ monotonic: () => now });
    const ask = once({ answer: HAS_NONE, ttlMs: 5000 });
    await cache.get("k", ask, never);
    now += 4990;
    expect(cache.get("k", ask, never)).toBe(HAS_NONE);
    now += 20;
    await cache.get("k", ask, never);
    expect(ask).toHaveBeenCalledTimes(2);
  });
  it("P12: an answer with an end by the wall clock is not used after it, whichever clock jumps", async () => {
    let now = 1_000_000;
    let monotonic = 1;
    const cache = createAnswerCache({ monotonic: () => monotonic, now: () => now });
    const ask = once({ answer: HAS_NONE, ttlMs: 5000, endsAt: 1_005_000 });
    await cache.get("k", ask, never);
    now = 1_004_999;
    expect(cache.get("k", ask, never)).toBe(HAS_NONE);
    now = 1_005_000; // the machine slept: only the wall clock went on
    await cache.get("k", ask, never);
    expect(ask).toHaveBeenCalledTimes(2);
    now = 0; // set back: the other clock still ends it
    monotonic += 5001;
    await cache.get("k", ask, never);
    expect(ask).toHaveBeenCalledTimes(3);
  });
  it.each([
    ["cannot tell", { answer: { cannotTell: "sealed" }, ttlMs: 60_000 }],
    ["no time", { answer: HAS_NONE, ttlMs: 0 }],
    ["a negative time", { answer: HAS_NONE, ttlMs: -5 }],
    ["not a number", { answer: HAS_NONE, ttlMs: Number.NaN }],
  ] satisfies [string, Kept][])("keeps nothing for %s", async (_, kept) => {
    const cache = createAnswerCache();
    const ask = once(kept);
    await cache.get("k", ask, never);
    await cache.get("k", ask, never);
    expect(ask).toHaveBeenCalledTimes(2);
  });
  it("one caller who gives up does not end the question of the others", async () => {
    const cache = createAnswerCache();
    const answer = Promise.withResolvers<Kept>();
    const hurried = new AbortController();
    const first = cache.get("k", () => answer.promise, hurried.signal);
    const second = cache.get("k", () => Promise.reject(new Error("asked twice")), never);
    hurried.abort();
    expect(await first).toMatchObject({ cannotTell: expect.stringContaining("time") as string });
    answer.resolve({ answer: HAS_NONE, ttlMs: 1 });
    expect(await second).toBe(HAS_NONE);
  });
  it("a question that throws is cannot tell, and is asked again", async () => {
    const cache = createAnswerCache();
    const ask = vi.fn<() => Promise<Kept>>(() => Promise.reject(new Error("token s3cr3t")));
    expect(await cache.get("k", ask, never)).toEqual({ cannotTell: "internal" });
    await cache.get("k", ask, never);
    expect(ask).toHaveBeenCalledTimes(2);
  });
  it("P4: keys are injective", () => {
    const keys = [
      cacheKey("a", "b"),
      cacheKey("a,b"),
      cacheKey('a","b'),
      cacheKey("a", null, "b"),
      cacheKey("", "a"),
      cacheKey("a", ""),
      cacheKey(null),
      cacheKey("null"),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });
});
