import { expect, it } from "vitest";
import { singleFlight, singleFlightByKey } from "./single-flight.ts";

it("runs once for all who ask meanwhile, and anew for who asks after", async () => {
  let runs = 0;
  const ask = singleFlight(async () => (runs += 1));
  expect(await Promise.all([ask(), ask(), ask()])).toEqual([1, 1, 1]);
  expect(await ask()).toBe(2);
});

it("a failure reaches all who wait for it, and nobody else", async () => {
  let runs = 0;
  const ask = singleFlight(async () => {
    runs += 1;
    if (runs === 1) throw new Error("first");
    return runs;
  });
  expect(await Promise.allSettled([ask(), ask()])).toMatchObject([{ status: "rejected" }, { status: "rejected" }]);
  expect(await ask()).toBe(2);
});

it("by key: others do not wait", async () => {
  const runs: string[] = [];
  const ask = singleFlightByKey(async (key) => runs.push(key));
  await Promise.all([ask("a"), ask("b"), ask("a")]);
  await ask("a");
  expect(runs).toEqual(["a", "b", "a"]);
});
