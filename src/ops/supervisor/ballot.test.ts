import { afterEach, expect, it, vi } from "vitest";
import { createBallots, type Verdict } from "./ballot.ts";
import type { Vote } from "./messages.ts";

afterEach(() => void vi.useRealTimers());

function ballots() {
  const told: string[] = [];
  const box = createBallots((members, { part, isAgreed }: Verdict) => {
    told.push(`${members.toSorted((a, b) => a - b).join(" ")}: ${part} ${isAgreed ? "yes" : "no"}`);
  });
  const vote = (round: number, more: Partial<Vote> = {}): Vote => {
    return { round, part: "servers", isReady: true, content: "a", ...more };
  };
  return { told, box, vote };
}

it("a part is taken when every worker could take it, and nobody hears before", () => {
  const { told, box, vote } = ballots();
  const round = box.begin([0, 1, 2]);
  box.vote(0, vote(round));
  box.vote(2, vote(round));
  expect(told).toEqual([]);
  box.vote(1, vote(round));
  expect(told).toEqual(["0 1 2: servers yes"]);
});

it.each([
  ["one cannot", { isReady: false }],
  ["one has read something else", { content: "b" }],
])("none takes it where %s; the next part is another question", (_, more) => {
  const { told, box, vote } = ballots();
  const round = box.begin([0, 1]);
  box.vote(0, vote(round));
  box.vote(1, vote(round, more));
  for (const worker of [0, 1]) box.vote(worker, vote(round, { part: "tls.authz" }));
  expect(told).toEqual(["0 1: servers no", "0 1: tls.authz yes"]);
});

it("a worker that ends makes it a no, for those that wait and for those that come later", () => {
  const { told, box, vote } = ballots();
  const round = box.begin([0, 1, 2]);
  box.vote(0, vote(round));
  box.left(1);
  box.vote(2, vote(round));
  expect(told).toEqual(["0: servers no", "2: servers no"]);
});

it("the successor of an ended worker has no vote in a round that began before it, and an unknown round is a no", () => {
  const { told, box, vote } = ballots();
  const round = box.begin([0]);
  box.vote(1, vote(round));
  box.vote(0, vote(round + 7));
  expect(told).toEqual(["1: servers no", "0: servers no"]);
  box.vote(0, vote(round));
  expect(told.at(-1)).toBe("0: servers yes");
});

it("a round that is pushed out by later ones is a no for those that wait in it, and for those that come later", () => {
  const { told, box, vote } = ballots();
  const round = box.begin([0, 1]);
  box.vote(0, vote(round));
  for (let n = 0; n < 40; n += 1) box.begin([0, 1]);
  expect(told).toEqual(["0: servers no"]);
  box.vote(1, vote(round));
  expect(told.at(-1)).toBe("1: servers no");
});

it("a worker that never votes holds the others for a minute; when it votes after all, that is a no, too", () => {
  vi.useFakeTimers();
  const { told, box, vote } = ballots();
  const round = box.begin([0, 1]);
  box.vote(0, vote(round));
  vi.advanceTimersByTime(59_000);
  expect(told).toEqual([]);
  vi.advanceTimersByTime(2000);
  expect(told).toEqual(["0: servers no"]);
  box.vote(1, vote(round));
  expect(told.at(-1)).toBe("1: servers no");
});
