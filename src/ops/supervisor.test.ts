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

it("many short evaluations are not one long one, and only time spent in one counts", () => {
  const buffer = newHeartbeat();
  const guard = createGuard(buffer);
  const { suspects, isRunningAway } = createWatch(buffer, 100);
  for (let spent = 0; spent < 2000; spent += 40) {
    guard.enter();
    expect(suspects()).toBe(false);
    guard.leave();
  }
  guard.enter();
  expect(suspects()).toBe(false); // seen once
  expect([suspects(), isRunningAway(5000)]).toEqual([true, false]);
  expect([suspects(), isRunningAway(5100)]).toEqual([true, false]);
  expect([suspects(), isRunningAway(5101)]).toEqual([true, true]);
  guard.leave();
  expect(suspects()).toBe(false);
  guard.enter();
  expect([suspects(), suspects(), isRunningAway(9000)]).toEqual([false, true, false]);
});
