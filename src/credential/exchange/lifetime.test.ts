import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lifeOf, type LifeFacts } from "./lifetime.ts";

const NOW = 1_790_000_000_000;
const at = NOW / 1000;
const FACTS: LifeFacts = { expiresIn: 3600, tokenExp: null, subjectExp: at + 7200, askedAt: NOW, now: NOW };

describe("lifeOf", () => {
  it.each<[string, Partial<LifeFacts>, number | null]>([
    ["P9.3-2: an hour, less the skew", {}, 3570],
    ["P9.3-2, CF-13: unsaid is 60 s", { expiresIn: null }, 30],
    ["CF-13: the skew is at most half the life", { expiresIn: 20 }, 10],
    ["one second", { expiresIn: 1 }, 0.5],
    ["the token's exp is sooner", { tokenExp: at + 100 }, 70],
    ["the token's exp is later", { tokenExp: at + 99_999 }, 3570],
    ["unsaid, and the token's exp is sooner than 60 s", { expiresIn: null, tokenExp: at + 40 }, 20],
    ["5.7: the caller's token ends sooner", { subjectExp: at + 10 }, 10],
    ["P12: the token is over", { tokenExp: at }, null],
    ["P12: the token was over long ago", { tokenExp: at - 500 }, null],
    ["P12: the caller's token is over", { subjectExp: at }, null],
    ["the answer took its time", { now: NOW + 4000, expiresIn: 20 }, 6],
    ["the answer took longer than the token lives", { now: NOW + 20_000, expiresIn: 20 }, null],
    ["P12: the clock was set back meanwhile", { now: NOW - 3_600_000, expiresIn: 20 }, 10],
  ])("H04: %s", (_, changes, seconds) => {
    const life = lifeOf({ ...FACTS, ...changes });
    expect(life === null ? null : life.ttlMs / 1000).toBe(seconds);
  });

  it("P12, H04: by neither clock beyond the answer's life, the token's exp or the caller's", () => {
    const seconds = fc.integer({ min: -5000, max: 5000 });
    const property = fc.property(
      fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
      fc.option(seconds),
      seconds,
      seconds,
      (expiresIn, tokenIn, subjectIn, elapsed) => {
        const now = NOW + elapsed * 1000;
        const tokenExp = tokenIn === null ? null : at + tokenIn;
        const life = lifeOf({ expiresIn, tokenExp, subjectExp: at + subjectIn, askedAt: NOW, now });
        if (life === null) return;
        expect(life.ttlMs).toBeGreaterThan(0);
        expect(life.ttlMs).toBeLessThan((expiresIn ?? 60) * 1000);
        expect(life.endsAt).toBeLessThanOrEqual((at + subjectIn) * 1000);
        expect(now + life.ttlMs).toBeLessThanOrEqual(life.endsAt + 1e-3);
        expect(life.endsAt).toBeLessThan(NOW + (expiresIn ?? 60) * 1000);
        if (tokenExp !== null) expect(life.endsAt).toBeLessThan(tokenExp * 1000);
      },
    );
    fc.assert(property, { numRuns: 5000 });
  });
});
