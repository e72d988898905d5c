import { expect, test } from "vitest";
import { createPolicyRevisions } from "./policy-revisions.ts";

function world() {
  const clock = { now: 0 };
  const revisions = createPolicyRevisions(() => clock.now);
  const read = (instance: string, policy: string, afterMs = 1000) => {
    clock.now += afterMs;
    return revisions.read({ instance, policy });
  };
  return read;
}

test("the first revision is no change, the same one neither", () => {
  const read = world();
  expect([read("a", "1"), read("a", "1"), read("b", "1"), read("a", "1")]).toEqual([false, false, false, false]);
});

test("each instance that changes is a change: callers met both until then", () => {
  const read = world();
  for (const instance of ["a", "b", "c"]) read(instance, "1");
  expect([read("a", "2"), read("b", "2"), read("c", "2")]).toEqual([true, true, true]);
  expect([read("a", "2"), read("b", "2"), read("c", "2")]).toEqual([false, false, false]);
});

test("a new instance with a new revision is a change", () => {
  const read = world();
  read("old", "1");
  expect([read("new", "2"), read("old", "1"), read("new", "2")]).toEqual([true, false, false]);
});

test("the end of an instance is told once", () => {
  const read = world();
  read("old", "1");
  read("new", "2");
  const told = Array.from({ length: 20 }, () => read("new", "2"));
  expect(told.filter(Boolean)).toHaveLength(1);
});

test("a restart with the same policy is no change", () => {
  const read = world();
  read("a", "1");
  expect([read("b", "1"), ...Array.from({ length: 20 }, () => read("b", "1"))]).not.toContain(true);
});

test("a revision is live while a serve that has it reads; one that was replaced is not", () => {
  const clock = { now: 0 };
  const revisions = createPolicyRevisions(() => clock.now);
  const live = () => ["1", "2"].filter(revisions.isLive);
  revisions.read({ instance: "a", policy: "1" });
  revisions.read({ instance: "b", policy: "2" });
  expect(live()).toEqual(["1", "2"]);
  revisions.read({ instance: "a", policy: "2" });
  expect(live()).toEqual(["2"]);
  clock.now = 5001;
  expect(live()).toEqual([]);
  revisions.read({ instance: "b", policy: "2" });
  expect(live()).toEqual(["2"]);
});
