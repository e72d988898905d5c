import { describe, expect, it } from "vitest";
import { createFairTurns, type FairTurnsOptions } from "./fair-turns.ts";

const never = new AbortController().signal;
const ticks = async () => {
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
};

function lab(options: Partial<FairTurnsOptions> = {}) {
  const scheduled: (() => void)[] = [];
  const begun: string[] = [];
  const turns = createFairTurns({
    ...{ perTurn: 1, maxActive: Infinity, maxPerKey: 100, maxWaiting: 1000 },
    nextTurn: (run) => scheduled.push(run),
    ...options,
  });
  const ends: (() => void)[] = [];
  return {
    begun,
    ends,
    start: (key: string, signal = never) =>
      turns.run(key, () => (begun.push(key), new Promise<object>((done) => ends.push(() => done({})))), signal),
    async turn() {
      for (const run of scheduled.splice(0)) run();
      await ticks();
      return begun.splice(0).join(" ");
    },
  };
}

describe("turns", () => {
  it("the first begins at once, the rest one in a turn, and callers take turns however many each has", async () => {
    const { start, turn } = lab();
    for (const key of ["a", "a", "a", "a", "b", "c", "c"]) void start(key);
    await ticks();
    const order = [];
    for (let i = 0; i < 8; i += 1) order.push(await turn());
    expect(order[0]).toBe("a a");
    expect(order.slice(1)).toEqual(["b", "c", "a", "c", "a", "", ""]);
  });

  it("so many at a time in all, so many of one key, so many that wait", async () => {
    const { start, turn, ends } = lab({ perTurn: 10, maxActive: 2, maxPerKey: 3, maxWaiting: 2 });
    const a = [start("a"), start("a"), start("a")];
    expect(await start("a")).toBe("full");
    void start("b");
    expect(await start("c")).toBe("full");
    expect(await turn()).toBe("a a");
    expect(await turn()).toBe("");
    ends[0]?.();
    expect(await a[0]).toEqual({});
    expect(await turn()).toBe("a");
    ends[1]?.();
    await a[1];
    expect(await turn()).toBe("b");
    expect(await turn()).toBe("");
  });

  it("when all room is taken, a key with many makes room for one with fewer, as long as it keeps as many", async () => {
    const { start, turn } = lab({ maxWaiting: 4 });
    const a = Array.from({ length: 5 }, () => start("a"));
    void start("b");
    expect(await a[4]).toBe("full");
    void start("b");
    expect(await a[3]).toBe("full");
    expect([await start("b"), await start("a")]).toEqual(["full", "full"]);
    void start("c");
    expect(await a[2]).toBe("full");
    const order = [];
    for (let i = 0; i < 5; i += 1) order.push(await turn());
    expect(order).toEqual(["a a", "b", "c", "b", ""]);
  });

  it("who leaves while waiting is late, and makes room", async () => {
    const { start, turn } = lab({ maxPerKey: 2 });
    void start("a");
    const gone = new AbortController();
    const late = start("a", gone.signal);
    expect(await start("a")).toBe("full");
    gone.abort();
    expect(await late).toBe("late");
    void start("a");
    expect(await start("a", gone.signal)).toBe("full");
    expect(await start("b", gone.signal)).toBe("late");
    expect(await turn()).toBe("a a");
  });

  it("a task that throws leaves as well", async () => {
    const turns = createFairTurns({ perTurn: 1, maxActive: 1, maxPerKey: 1, maxWaiting: 1 });
    for (let i = 0; i < 3; i += 1)
      await expect(turns.run("a", () => Promise.reject(new Error("bug")), never)).rejects.toThrow("bug");
  });

  it("with the event loop: other work comes in between", async () => {
    const turns = createFairTurns({ perTurn: 2, maxActive: 100, maxPerKey: 100, maxWaiting: 100 });
    let loops = 0;
    const count = () => {
      loops += 1;
      if (loops < 1000) setImmediate(count);
    };
    setImmediate(count);
    const at = await Promise.all(
      Array.from({ length: 20 }, () => turns.run("a", () => Promise.resolve({ loops }), never)),
    );
    expect(new Set(at.map((one) => (typeof one === "string" ? one : one.loops))).size).toBeGreaterThanOrEqual(9);
  });
});
