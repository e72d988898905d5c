import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { ChangeKind } from "../../broker/change-notices.ts";
import { createChanges, type Changes } from "./changes.ts";

let changes: Changes;
let told: (readonly ChangeKind[])[];
beforeEach(() => {
  vi.useFakeTimers();
  changes = createChanges(() => performance.now());
  told = [];
  changes.notices.listen({ concerns: (server) => server === "s", tell: (kinds) => told.push(kinds) });
});
afterEach(() => vi.useRealTimers());
const reads = (instance: string, policy = "p") => changes.onRead({ instance, policy });
const settle = () => vi.advanceTimersByTime(300);

it("a change of a server is told once every serve has read the catalogue since", () => {
  for (const instance of ["a", "b"]) reads(instance);
  settle();
  told = [];
  changes.onChanged("s", ["tools"]);
  settle();
  reads("a");
  settle();
  expect(told).toEqual([]);
  reads("b");
  settle();
  expect(told).toEqual([["tools"]]);
  vi.advanceTimersByTime(10_000);
  expect(told).toHaveLength(1);
});

it("a serve that has ended holds nothing up for long, one that was away longer not at all", () => {
  reads("gone");
  settle();
  changes.onChanged("s", ["tools"]);
  vi.advanceTimersByTime(1900);
  expect(told).toEqual([["tools"]]);
  vi.advanceTimersByTime(20_000);
  changes.onChanged("s", ["prompts"]);
  settle();
  expect(told).toHaveLength(2);
});

it("another policy, and other servers, are told to all; another server's change is not", () => {
  reads("a");
  changes.onChanged("t", ["tools"]);
  reads("a");
  settle();
  expect(told).toEqual([]);
  reads("a", "other");
  settle();
  changes.onApplied();
  reads("a", "other");
  settle();
  expect(told).toEqual([
    ["tools", "prompts", "resources"],
    ["tools", "prompts", "resources"],
  ]);
});

it("changes that come together are told together", () => {
  reads("a");
  for (const kind of ["resources", "tools", "tools"] as const) changes.onChanged("s", [kind]);
  reads("a");
  settle();
  expect(told).toEqual([["tools", "resources"]]);
});
