import { describe, expect, it, vi } from "vitest";
import { ALICE } from "../../../test/fakes/authz.ts";
import { someInFlight } from "../../../test/fakes/handover.ts";
import { newCheckFacts, NO_SLOT } from "../../authz/facts.ts";
import { createGuard, createWatch, newHeartbeat } from "./heartbeat.ts";
import { readInFlight } from "./in-flight.ts";
import { createLog } from "../log.ts";
import { supervise } from "./supervisor.ts";

// Threads start slowly where others want the cores.
vi.setConfig({ testTimeout: 60_000 });
const script = new URL("../../../test/fakes/supervised.ts", import.meta.url);

const TWO = { count: 2, onTls: () => {}, onReady: () => {} };

function run(plan: string, limitMs = 60, workers: typeof TWO | null = null) {
  const ended: number[] = [];
  const shared = { proofs: new SharedArrayBuffer(8), audit: new SharedArrayBuffer(8) };
  const lines: string[] = [];
  const losses: string[][] = [];
  const log = createLog((line) => lines.push(line), "debug", Date.now);
  const supervisor = supervise({
    ...{ script, data: { plan }, limitMs, suspendMs: 60_000, log },
    workers: workers && { ...workers, shared, onEnd: (index) => ended.push(index) },
    onLoss: async ({ inFlight, cause, slot }) => {
      const left = readInFlight(inFlight);
      losses.push([cause, ...left.map((check) => `${check.facts.requestId}${check.slot === slot ? "!" : ""}`)]);
    },
  });
  const logged = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { supervisor, events: () => logged().map(({ event }) => event), logged, losses, ended };
}

async function until(check: () => boolean): Promise<void> {
  const end = Date.now() + 45_000;
  while (!check()) {
    if (Date.now() > end) throw new Error("not within 45 s");
    await new Promise((done) => setTimeout(done, 20));
  }
}

describe("E04: an evaluation that does not end", () => {
  it("costs the thread, which is started anew and then ends in order", async () => {
    const { supervisor, events } = run("run away once");
    await until(() => events().includes("policy_ran_away"));
    await new Promise((done) => setTimeout(done, 300));
    expect(events()).toEqual(["policy_ran_away"]);
    supervisor.terminate();
    expect(await supervisor.ended).toBe(0);
  });

  it("F1: counts against the caller whose Check it was for, who stands in the log and is suspended in the next thread", async () => {
    const { supervisor, logged } = run("who is suspended");
    expect(await supervisor.ended).toBe(42);
    expect(logged()[0]).toMatchObject({ subject: "mallory", issuer: ALICE.issuer, suspendedSeconds: 60 });
  });

  it("F1: as often as one caller likes, no revision is quarantined for it", async () => {
    const { supervisor, events, logged } = run("one caller");
    await until(() => events().length === 5);
    expect(logged().map(({ quarantined }) => quarantined)).toEqual([null, null, null, null, null]);
    expect(logged().map(({ suspendedSeconds }) => suspendedSeconds)).toEqual([60, 120, 240, 480, 960]);
    supervisor.terminate();
    expect(await supervisor.ended).toBe(0);
  });

  it.each(["three callers", "run away"])("%s: the revision is quarantined, and there is peace", async (plan) => {
    const { supervisor, events, logged } = run(plan);
    await until(() => events().length === 3);
    await new Promise((done) => setTimeout(done, 400));
    expect(events()).toEqual(["policy_ran_away", "policy_ran_away", "policy_ran_away"]);
    expect(logged()[2]).toMatchObject({ quarantined: "r1", restarts: 3 });
    supervisor.terminate();
    expect(await supervisor.ended).toBe(0);
  });

  it("three sources without a credential stop the rules of the host's paths, and MCP goes on; each is suspended", async () => {
    const { supervisor, events, logged } = run("three sources");
    await until(() => events().length === 3);
    await new Promise((done) => setTimeout(done, 400));
    expect(logged().map(({ issuer, subject, suspendedSeconds }) => [issuer, subject, suspendedSeconds])).toEqual(
      [0, 1, 2].map((n) => ["", `192.0.2.${n}`, 60]),
    );
    expect(logged().map(({ quarantined, hostQuarantined }) => [quarantined, hostQuarantined])).toEqual([
      [null, null],
      [null, null],
      [null, "r1"],
    ]);
    supervisor.terminate();
    expect(await supervisor.ended).toBe(0);
  });

  it("sources never count against MCP together with callers", async () => {
    const { supervisor, events, logged } = run("sources, then callers");
    await until(() => events().length === 5);
    expect(logged()[4]).toMatchObject({ quarantined: null, hostQuarantined: "r1" });
    supervisor.terminate();
    expect(await supervisor.ended).toBe(0);
  });

  it("P15: what was in flight is told before the next thread starts, with the one that ran away", async () => {
    const { supervisor, losses } = run("who is suspended");
    await supervisor.ended;
    expect(losses).toEqual([["ran_away", "bystander", "runaway!"], ["stopped"]]);
  });

  it("a thread that crashes in an evaluation counts against its caller too", async () => {
    const { supervisor, events, logged, losses } = run("out of memory");
    await until(() => events().includes("policy_ran_away"));
    expect([logged()[0], losses[0]]).toMatchObject([{ subject: "mallory" }, ["ran_away", "bystander", "runaway!"]]);
    supervisor.terminate();
    await supervisor.ended;
  });
});

it("F1: slow evaluations again and again suspend their caller without a restart", async () => {
  const { supervisor, logged } = run("slow", 300);
  expect(await supervisor.ended).toBe(42);
  expect(logged()).toMatchObject([{ event: "caller_suspended", subject: "mallory", suspendedSeconds: 60 }]);
}, 60_000);

it("a document that a thread fetched is there in the next one", async () => {
  expect(await run("keeps").supervisor.ended).toBe(42);
});

it("N03: a crash is mended once, and a crash loop ends the process", async () => {
  const once = run("crash once");
  await until(() => once.events().includes("thread_restarted"));
  once.supervisor.terminate();
  expect(await once.supervisor.ended).toBe(0);
  expect(await run("crash always").supervisor.ended).toBe(9);
});

it("6.10: what a thread asked to remember is there in the next one", async () => {
  expect(await run("remember").supervisor.ended).toBe(42);
});

it("a spare thread reads again what was put in force", async () => {
  expect(await run("takes a configuration").supervisor.ended).toBe(42);
});

it("a start that fails is not tried again", async () => {
  const { supervisor, events } = run("fail at start");
  expect(await supervisor.ended).toBe(3);
  expect(events()).toEqual([]);
});

it("a thread that says it has ended is ended, whatever it has left open", async () => {
  expect(await run("fail with a listener open").supervisor.ended).toBe(3);
});

it.each(["fails at its second start", "crashes at its second start"])(
  "N03: a worker that %s is tried again later, and the other one serves on",
  async (plan) => {
    const { supervisor, events, ended } = run(plan, 60, TWO);
    await until(() => ended.length === 2);
    const code = await Promise.race([supervisor.ended, new Promise((done) => setTimeout(() => done("serves"), 500))]);
    expect([code, events(), ended, supervisor.isComplete()]).toEqual(["serves", ["thread_restarted"], [1, 1], false]);
    supervisor.terminate();
    expect(await supervisor.ended).toBe(0);
  },
);

describe("the watch", () => {
  function watched() {
    const clock = { now: 0, cpu: 0 };
    const buffer = newHeartbeat();
    const slow: number[] = [];
    const runaway = createWatch(buffer, {
      ...{ limitMs: 100, slowMs: () => 50, timeoutMs: 1000, monotonic: () => clock.now },
      cpu: () => Promise.resolve(clock.cpu),
      onSlow: (slot) => slow.push(slot),
    });
    const sample = () => runaway() !== null;
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
    return { guard: createGuard(buffer, someInFlight()), pass, slow };
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

  it("names the slot, and tells once of an evaluation that is slow", async () => {
    const { guard, pass, slow } = watched();
    guard.attribute({ ...newCheckFacts("r", 0), slot: 7 });
    guard.enter();
    expect(await pass(100, 1)).toBe(false);
    guard.leave();
    guard.enter(); // for no Check
    expect([await pass(120, 1), slow]).toEqual([false, [7, NO_SLOT]]);
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
    const silent = { limitMs: 100, slowMs: () => 50, timeoutMs: 1000, cpu: () => new Promise<number>(() => {}) };
    let now = 0;
    const sample = createWatch(buffer, { ...silent, onSlow: () => {}, monotonic: () => now });
    createGuard(buffer, someInFlight()).enter();
    expect([sample(), ((now = 900), sample()), ((now = 1001), sample())]).toEqual([null, null, NO_SLOT]);
  });
});
