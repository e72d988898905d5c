import fc from "fast-check";
import { expect, it } from "vitest";
import { HttpFault } from "../http/client.ts";
import { createHeldBytes, type Hold } from "./held-bytes.ts";

const never = new AbortController().signal;
const settled = () => new Promise((done) => setImmediate(done));

it("F10: a caller has her own limit, over all her requests", () => {
  const held = createHeldBytes({ perCaller: 10, total: 100 });
  const [one, two, other] = [held.open("alice"), held.open("alice"), held.open("bob")];
  expect([one.take(6), two.take(5), two.take(4), one.take(1), other.take(10)]).toEqual([
    true,
    false,
    true,
    false,
    true,
  ]);
  one.release();
  expect([two.take(6), two.take(1), held.bytes]).toEqual([true, false, 20]);
});

it("whatever others hold, there is room for one caller more", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 7 }), (callers, step) => {
      const held = createHeldBytes({ perCaller: 4000, total: 10_000 });
      const holds = Array.from({ length: callers }, (_, i) => held.open(`u${i}`));
      // All at once, until nobody gets anything more.
      for (let took = true; took;) took = holds.filter((hold) => hold.take(step)).length > 0;
      expect(held.bytes).toBeLessThanOrEqual(10_000);
      expect(held.open("new").take(Math.floor(8750 / (callers + 1) / 2) - step)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

const KIB = 1024;
/** Largest first, then whatever still goes. */
const greedy = (hold: Hold, steps: readonly number[]) => {
  for (const step of steps) while (hold.take(step));
};
const STEPS = [8192, 1024, 256, 64, 16, 4, 1].map((kib) => kib * KIB);

it.each([
  [4, STEPS],
  [8, STEPS],
  [12, STEPS],
  [20, STEPS],
  [40, STEPS],
  [20, [KIB]],
  [20, [256 * KIB, KIB]],
])(
  "F10: %i callers who come one after the other and take all that they get leave room for a small call",
  (n, steps) => {
    const held = createHeldBytes({ perCaller: 32 * 1024 * KIB, total: 128 * 1024 * KIB });
    const holds = Array.from({ length: n }, (_, i) => held.open(`u${i}`));
    for (const hold of holds) greedy(hold, steps);
    for (const hold of holds.toReversed()) greedy(hold, steps);
    const honest = held.open("new");
    expect([honest.take(20 * KIB), honest.take(64 * KIB)]).toEqual([true, true]);
  },
);

it("who waits goes on in order, as soon as something is given back", async () => {
  const held = createHeldBytes({ perCaller: 10, total: 100 });
  const [full, first, second] = [held.open("a"), held.open("a"), held.open("a")];
  full.take(10);
  const went: string[] = [];
  void first.wait(6, never).then(() => went.push("first"));
  void second.wait(4, never).then(() => went.push("second"));
  full.give(5);
  await settled();
  expect(went).toEqual([]);
  full.give(1);
  await settled();
  expect(went).toEqual(["first"]);
  first.release();
  await settled();
  expect(went).toEqual(["first", "second"]);
  full.release();
  second.release();
  expect(held.bytes).toBe(0);
});

it("who waits in vain is told why, and holds nothing", async () => {
  const held = createHeldBytes({ perCaller: 10, total: 100 });
  const full = held.open("a");
  full.take(10);
  for (const code of ["timeout", "left", "caller_expired"] as const) {
    const ending = new AbortController();
    const waiting = held.open("a");
    const wait = waiting.wait(5, ending.signal);
    ending.abort(new HttpFault(code));
    await expect(wait).rejects.toMatchObject({ code });
    await expect(waiting.wait(5, ending.signal)).rejects.toMatchObject({ code });
    waiting.release();
  }
  full.release();
  expect([held.bytes, held.open("a").take(10)]).toEqual([0, true]);
});

it("nothing is held after the end of a request", async () => {
  const held = createHeldBytes({ perCaller: 10, total: 100 });
  const [full, ended] = [held.open("a"), held.open("a")];
  full.take(10);
  const wait = ended.wait(5, never);
  ended.release();
  full.release();
  await wait;
  ended.give(3);
  expect([held.bytes, ended.take(1)]).toEqual([0, false]);
  await expect(ended.wait(1, never)).rejects.toMatchObject({ code: "left" });
});
