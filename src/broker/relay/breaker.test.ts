import { beforeEach, describe, expect, it } from "vitest";
import { createBreaker, type Breaker, type CallHealth } from "./breaker.ts";

let clock: number;
let breaker: Breaker;
beforeEach(() => {
  clock = 0;
  breaker = createBreaker({ failures: 4, coolDownMs: 1000 }, () => clock);
});

/** One call; its end, or the milliseconds for which it is refused. */
function call(caller: string, health: CallHealth): CallHealth | number {
  const admission = breaker.admit(caller);
  if (!admission.ok) return admission.retryAfterMs;
  admission.end(health);
  return health;
}
const calls = (caller: string, ...ends: CallHealth[]) => ends.map((health) => call(caller, health));
const many = (health: CallHealth, count: number) => Array.from({ length: count }, () => health);

describe("CF-20: a server that cannot be reached", () => {
  beforeEach(() => void calls("alice", ...many("unreachable", 4)));
  it("is refused to everybody for the cool-down, with the time that is left", () => {
    expect([call("alice", "well"), call("bob", "well"), breaker.state()]).toEqual([1000, 1000, "open"]);
    clock = 400;
    expect(call("bob", "well")).toBe(600);
  });
  it("then gets one probe, whose success closes", () => {
    clock = 1000;
    expect(breaker.state()).toBe("half_open");
    const probe = breaker.admit("alice");
    expect([probe.ok, call("bob", "well"), call("alice", "well")]).toEqual([true, 1000, 1000]);
    if (probe.ok) probe.end("well");
    expect([breaker.state(), ...calls("bob", ...many("failed", 3))]).toEqual(["closed", ...many("failed", 3)]);
  });
  it("a probe that fails opens for another cool-down; its caller comes after others then", () => {
    clock = 1000;
    expect(call("alice", "failed")).toBe("failed");
    expect(call("bob", "well")).toBe(1000);
    clock = 2000;
    expect(call("alice", "well")).toBe(1000);
    expect(call("bob", "well")).toBe("well");
    expect(call("alice", "well")).toBe("well");
  });
  it("a probe that hangs, or says nothing, keeps others no longer than a cool-down", () => {
    clock = 1000;
    expect(breaker.admit("alice").ok).toBe(true);
    clock = 1500;
    expect(call("bob", "well")).toBe(500);
    clock = 2000;
    expect([call("alice", "well"), call("bob", "unknown"), call("bob", "well")]).toEqual([1000, "unknown", "well"]);
  });
});

describe("CF-20: a server that fails", () => {
  it("for one caller is refused to her alone, however often", () => {
    for (let i = 0; i < 20; i += 1) {
      calls("mallory", ...many("failed", 4));
      clock += 1000;
    }
    expect([typeof call("mallory", "failed"), call("bob", "well"), breaker.state()]).toEqual([
      "number",
      "well",
      "closed",
    ]);
  });
  it("for one caller, and once for another, still serves", () => {
    calls("mallory", ...many("failed", 4));
    expect([call("bob", "failed"), breaker.state(), call("carol", "well")]).toEqual(["failed", "closed", "well"]);
  });
  it("for several in a row is refused to all", () => {
    calls("alice", ...many("failed", 2));
    calls("bob", ...many("failed", 2));
    expect([call("carol", "well"), breaker.state()]).toEqual([1000, "open"]);
  });
  it("in between is not refused: one success begins anew", () => {
    for (let i = 0; i < 10; i += 1) expect(calls("alice", "failed", "failed", "failed", "well")).not.toContain(1000);
  });
  it("P6.1-3: credentials that it refuses, clients that leave and limits of ours count for nothing", () => {
    calls("mallory", ...many("unknown", 100));
    expect(breaker.state()).toBe("closed");
    calls("alice", "failed", "unknown", "failed", "unknown", "failed", "failed");
    expect(call("alice", "well")).toBe(1000);
  });
});

it("callers without end are remembered in bounds", () => {
  for (let i = 0; i < 5000; i += 1) {
    call(`caller-${i}`, "failed");
    call("well", "well");
  }
  expect(breaker.state()).toBe("closed");
});
