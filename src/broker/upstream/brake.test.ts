import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { createBrake, createPacer } from "./brake.ts";

it("a source goes on when the last reason to pause is gone, whoever is told twice", () => {
  const said: string[] = [];
  const brake = createBrake({ pause: () => said.push("pause"), resume: () => said.push("resume") });
  const [one, two] = [brake.hold(), brake.hold()];
  one();
  one();
  expect(said).toEqual(["pause", "pause"]);
  two();
  expect(said).toEqual(["pause", "pause", "resume"]);
});

it("F9: of many sources a few go on in each turn, in order, and those that ask again stand behind", async () => {
  const pacer = createPacer(2);
  const went: number[] = [];
  const perTurn: number[] = [];
  for (let i = 0; i < 5; i += 1)
    pacer(() => {
      went.push(i);
      pacer(() => went.push(i + 10));
    });
  for (let before = -1; went.length !== before;) {
    before = went.length;
    await turn();
    perTurn.push(went.length - before);
  }
  expect(went).toEqual([0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
  expect(Math.max(...perTurn)).toBe(2);
});
