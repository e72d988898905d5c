import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRevocationMemory, type MemoryOptions, type RevocationMemory } from "./revocation-memory.ts";
import type { Revocation } from "./revocation-lines.ts";

const ISS = "https://idp.example.com";
const NOW = 1_790_000_000;
const DAY = 86_400;

const jti = (id: string, until: number): Revocation => ({ by: "jti", iss: ISS, id, until });
const sub = (id: string, before: number): Revocation => ({ by: "sub", iss: ISS, id, before });
const marks = (more: object) => ({ iss: ISS, sub: "x", jti: undefined, sid: undefined, iat: NOW, ...more });

function memoryOf(options: Partial<MemoryOptions>): RevocationMemory {
  const plain = { now: () => NOW * 1000, monotonic: () => 0, maxEntries: 8, remembered: null, onMemory: () => {} };
  return createRevocationMemory({ ...plain, ...options });
}

/** Adds as the file does. */
async function add(memory: RevocationMemory, ...revocations: Revocation[]): Promise<string[]> {
  const added = [];
  for (const revocation of revocations) {
    let result = memory.add(revocation);
    if (result === "full" && (await memory.makeRoom())) result = memory.add(revocation);
    added.push(result);
  }
  return added;
}

/** As the file is read again. What finds no room is told by the file's fault: then all are refused. */
async function readAgain(memory: RevocationMemory, known: Map<string, number>): Promise<void> {
  for (const [id, until] of known) if ((await add(memory, jti(id, until))).includes("full")) known.delete(id);
}

describe("P12: time", () => {
  it("property: no jump of the clock and no edit lets a revoked token live before its `until`", async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("jump" as const), seconds: fc.integer({ min: -100_000, max: 100_000 }) }),
      fc.record({ kind: fc.constant("pass" as const), seconds: fc.integer({ min: 0, max: 5000 }) }),
      fc.record({ kind: fc.constant("revoke" as const), seconds: fc.integer({ min: -5000, max: 20_000 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        let wall = NOW;
        let passed = 0;
        const clocks = { now: () => wall * 1000, monotonic: () => passed * 1000 };
        const memory = memoryOf({ ...clocks, maxEntries: 4 });
        const known = new Map<string, number>();
        for (const [i, { kind, seconds }] of steps.entries()) {
          if (kind === "jump") wall += seconds;
          else if (kind === "pass") [wall, passed] = [wall + seconds, passed + seconds];
          else {
            const revocation: Revocation = { by: "jti", iss: ISS, id: `j${i % 5}`, until: NOW + seconds };
            const [added] = await add(memory, revocation);
            if (added !== "full") known.set(revocation.id, Math.max(known.get(revocation.id) ?? 0, revocation.until));
          }
          if (memory.hasDroppedTooMuch()) await readAgain(memory, known);
          for (const [id, until] of known) {
            const over = wall > until && NOW + passed > until;
            const found = memory.find({ iss: ISS, sub: "s", jti: id, sid: undefined, iat: NOW });
            if (!over) expect(found).toBe("jti");
          }
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("`until` is over a minute after it, as a token's `exp` is", () => {
    let seconds = NOW;
    const memory = memoryOf({
      now: () => seconds * 1000,
      monotonic: () => seconds * 1000,
      maxEntries: 8,
    });
    memory.add({ by: "sid", iss: ISS, id: "s", until: NOW + 100 });
    const find = () => memory.find({ iss: ISS, sub: "x", jti: undefined, sid: "s", iat: NOW });
    seconds = NOW + 160;
    expect(find()).toBe("sid");
    seconds = NOW + 161;
    expect(find()).toBeNull();
    seconds = NOW + 50; // set back: the time that has passed does not count against it
    expect(find()).toBe("sid");
  });
});

describe("room", () => {
  const clocksAt = (at: { seconds: number }) => ({ now: () => at.seconds * 1000, monotonic: () => at.seconds * 1000 });

  it("is made only at the cost of what is over, else nothing is taken", async () => {
    const at = { seconds: NOW };
    const memory = memoryOf({ ...clocksAt(at), maxEntries: 2 });
    expect(await add(memory, jti("a", NOW + 100), jti("b", NOW + 9000))).toEqual(["new", "new"]);
    expect(await add(memory, jti("c", NOW + 9000))).toEqual(["full"]);
    expect(["a", "b", "c"].map((id) => memory.find(marks({ jti: id })))).toEqual(["jti", "jti", null]);
    at.seconds = NOW + 1000;
    expect(await add(memory, jti("c", NOW + 9000))).toEqual(["new"]);
    expect(["a", "b", "c"].map((id) => memory.find(marks({ jti: id })))).toEqual([null, "jti", "jti"]);
  });

  it("what is over is not counted: a file of old lines leaves room for as many new ones as may be", async () => {
    const memory = memoryOf({ maxEntries: 100 });
    for (let i = 0; i < 1000; i += 1) await add(memory, jti(`old${i}`, NOW - 100), sub(`old${i}`, NOW - 2 * DAY));
    for (let i = 0; i < 100; i += 1) expect(await add(memory, jti(`new${i}`, NOW + 100))).toEqual(["new"]);
    for (let i = 0; i < 100; i += 1) expect(memory.find(marks({ jti: `new${i}` }))).toBe("jti");
    expect(await add(memory, jti("one more", NOW + 100))).toEqual(["full"]);
  });

  it("a subject's line makes room once no token from before can live: 24 hours and two minutes after `before`", async () => {
    const at = { seconds: NOW };
    const memory = memoryOf({ ...clocksAt(at), maxEntries: 2 });
    await add(memory, sub("alice", NOW), sub("bob", NOW + 10));
    at.seconds = NOW + DAY + 120;
    expect(await add(memory, jti("a", NOW + 2 * DAY))).toEqual(["full"]);
    expect(memory.find(marks({ sub: "alice", iat: NOW - 1 }))).toBe("sub");
    at.seconds += 1;
    expect(await add(memory, jti("a", NOW + 2 * DAY))).toEqual(["new"]);
    expect(memory.find(marks({ sub: "bob", iat: NOW }))).toBe("sub");
  });

  it("a token that does not say when it was issued is refused as soon as a subject's line had to make room", async () => {
    const at = { seconds: NOW };
    const memory = memoryOf({ ...clocksAt(at), maxEntries: 1 });
    await add(memory, sub("alice", NOW));
    expect(memory.find(marks({ sub: "carol", iat: undefined }))).toBeNull();
    at.seconds = NOW + 2 * DAY;
    await add(memory, jti("a", NOW + 9 * DAY));
    for (const name of ["alice", "carol"]) expect(memory.find(marks({ sub: name, iat: undefined }))).toBe("sub");
    expect(memory.find(marks({ sub: "alice", iat: NOW + DAY }))).toBeNull();
  });

  it("a clock that is set back behind what was left out asks for the file again", async () => {
    const at = { wall: NOW + 9 * DAY };
    const memory = memoryOf({ now: () => at.wall * 1000, maxEntries: 2 });
    await add(memory, jti("a", NOW + 10 * DAY), jti("b", NOW + DAY));
    expect(memory.hasDroppedTooMuch()).toBe(false);
    at.wall = NOW;
    expect(memory.hasDroppedTooMuch()).toBe(true);
    expect(memory.hasDroppedTooMuch()).toBe(false);
    expect(await add(memory, jti("b", NOW + DAY))).toEqual(["new"]);
  });
});

describe("what outlives a thread", () => {
  it("is the memory itself, also while it is being made larger", async () => {
    let memory: SharedArrayBuffer | null = null;
    const first = memoryOf({ maxEntries: 50_000, onMemory: (buffer) => (memory = buffer) });
    for (let i = 0; i < 30_000; i += 1) {
      if (first.add(jti(`j${i}`, NOW + 100)) !== "full") continue;
      const growing = first.makeRoom();
      expect(memoryOf({ maxEntries: 50_000, remembered: memory }).size()).toBe(i);
      expect(first.find(marks({ jti: "j0" }))).toBe("jti");
      await growing;
      first.add(jti(`j${i}`, NOW + 100));
    }
    await add(first, sub("alice", NOW));
    const next = memoryOf({ maxEntries: 50_000, remembered: memory });
    expect(next.size()).toBe(30_001);
    for (let i = 0; i < 30_000; i += 1) expect(next.find(marks({ jti: `j${i}` }))).toBe("jti");
    expect(next.find(marks({ sub: "alice", iat: NOW - 1 }))).toBe("sub");
    expect(next.find(marks({ jti: "j30000" }))).toBeNull();
  });

  it("costs at most 32 bytes for each entry that may be", async () => {
    let bytes = 0;
    const memory = memoryOf({ maxEntries: 100_000, onMemory: (buffer) => (bytes = buffer.byteLength) });
    for (let i = 0; i < 100_000; i += 1) await add(memory, jti(`j${i}`, NOW + 100));
    expect(memory.size()).toBe(100_000);
    expect(bytes).toBeLessThanOrEqual(33 * 100_000);
  });

  it("names are told apart, whatever is in them", () => {
    const memory = memoryOf({});
    memory.add({ by: "jti", iss: "a", id: "bc", until: NOW + 100 });
    for (const [iss, id] of [
      ["ab", "c"],
      ["a1", "bc"],
      ["", "abc"],
      ["a", "BC"],
      ["a", "bc\u0000"],
    ] as const)
      expect(memory.find({ ...marks({}), iss, jti: id })).toBeNull();
    expect(memory.find({ ...marks({}), iss: "a", sid: "bc", sub: "bc" })).toBeNull();
  });
});
