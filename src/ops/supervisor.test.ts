import { describe, expect, it } from "vitest";
import { createGuard, createWatch, newHeartbeat } from "./heartbeat.ts";
import { createLog } from "./log.ts";
import { supervise } from "./supervisor.ts";

const script = new URL("../../test/fakes/supervised.ts", import.meta.url);

function run(plan: string) {
  const lines: string[] = [];
  const log = createLog((line) => lines.push(line), "debug", Date.now);
  return {
    supervisor: supervise({ script, data: { plan }, limitMs: 60, log }),
    events: () => lines.map((line) => (JSON.parse(line) as { event: string }).event),
    lines,
  };
}

async function until(check: () => boolean): Promise<void> {
  const end = Date.now() + 15_000;
  while (!check()) {
    if (Date.now() > end) throw new Error("not within 15 s");
    await new Promise((done) => setTimeout(done, 20));
  }
}

describe("E04: an evaluation that does not end", () => {
  it("costs the thread, which is started anew and then ends in order", async () => {
    const { supervisor, events } = run("run away once");
    await until(() => events().includes("policy_ran_away"));
    await new Promise((done) => setTimeout(done, 300));
    expect(events()).toEqual(["policy_ran_away"]);
    supervisor.send({ type: "terminate" });
    expect(await supervisor.ended).toBe(0);
  });

  it("three times by one revision: it is quarantined, and there is peace", async () => {
    const { supervisor, events, lines } = run("run away");
    await until(() => events().length === 3);
    await new Promise((done) => setTimeout(done, 400));
    expect(events()).toEqual(["policy_ran_away", "policy_ran_away", "policy_ran_away"]);
    expect(JSON.parse(lines[2] ?? "")).toMatchObject({ quarantined: "r1", restarts: 3 });
    supervisor.send({ type: "terminate" });
    expect(await supervisor.ended).toBe(0);
  });
});

it("N03: a crash is mended once, and a crash loop ends the process", async () => {
  const once = run("crash once");
  await until(() => once.events().includes("thread_restarted"));
  once.supervisor.send({ type: "terminate" });
  expect(await once.supervisor.ended).toBe(0);
  expect(await run("crash always").supervisor.ended).toBe(9);
});

it("6.10: what a thread asked to remember is there in the next one", async () => {
  expect(await run("remember").supervisor.ended).toBe(42);
});

it("a start that fails is not tried again", async () => {
  const { supervisor, events } = run("fail at start");
  expect(await supervisor.ended).toBe(3);
  expect(events()).toEqual([]);
});

describe("the watch", () => {
  function watched() {
    const clock = { now: 0, cpu: 0 };
    const buffer = newHeartbeat();
    const cpu = () => Promise.resolve(clock.cpu);
    const sample = createWatch(buffer, { limitMs: 100, patienceMs: 1000, monotonic: () => clock.now, cpu });
    /** Looks as often as the supervisor would, while time goes by. */
    const pass = async (ms: number, share: number): Promise<boolean> => {
      for (let i = 0; i < ms; i += 20) {
        clock.now += 20;
        clock.cpu += 20 * share;
        if (sample()) return true;
        await new Promise((done) => setImmediate(done)); // the thread's answer
      }
      return sample();
    };
    return { guard: createGuard(buffer), pass };
  }

  it("sees an evaluation that uses more than its share", async () => {
    const { guard, pass } = watched();
    guard.enter();
    expect(await pass(80, 1)).toBe(false);
    expect(await pass(100, 1)).toBe(true);
  });

  it("does not mistake many short evaluations for a long one", async () => {
    const { guard, pass } = watched();
    for (let i = 0; i < 50; i += 1) {
      guard.enter();
      expect(await pass(40, 1)).toBe(false);
      guard.leave();
    }
    expect(await pass(2000, 1)).toBe(false);
  });

  it("gives a thread that waits for its turn its time", async () => {
    const { guard, pass } = watched();
    guard.enter();
    expect(await pass(900, 0.1)).toBe(false);
    guard.leave();
  });

  it("has an end of patience, also with a thread that does not answer", async () => {
    const { guard, pass } = watched();
    guard.enter();
    expect(await pass(900, 0.01)).toBe(false);
    expect(await pass(200, 0.01)).toBe(true);
    const buffer = newHeartbeat();
    const silent = { limitMs: 100, patienceMs: 1000, cpu: () => new Promise<number>(() => {}) };
    let now = 0;
    const sample = createWatch(buffer, { ...silent, monotonic: () => now });
    createGuard(buffer).enter();
    expect([sample(), ((now = 900), sample()), ((now = 1001), sample())]).toEqual([false, false, true]);
  });
});
