import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { createSharedProofs, newSharedProofs } from "./shared-proofs.ts";

const NOW = 1_790_000_000;
const proof = (jti: string, iat = NOW, jkt = "key") => ({ jkt, jti, iat });

function threads(count = 2, maxPerKey?: number) {
  const buffer = newSharedProofs(NOW + 0.7);
  return Array.from({ length: count }, () => createSharedProofs(buffer, maxPerKey));
}

describe("D31: a DPoP proof counts once, at whichever worker", () => {
  it("refuses at every other worker what one has taken, for as long as the memory is there", () => {
    const [a, b] = threads();
    expect([a?.add(proof("1"), NOW), b?.add(proof("1"), NOW), a?.add(proof("1"), NOW)]).toEqual([
      null,
      "was used before",
      "was used before",
    ]);
    for (const later of [59, 80, 160, 320, 100_000]) expect(b?.add(proof("1"), NOW + later)).not.toBeNull();
    expect([a?.startedAt, b?.startedAt]).toEqual([NOW, NOW]);
  });

  it("knows a jti that its key signed anew with a time in the next bucket, or the one before", () => {
    const [a, b] = threads();
    const edge = Math.ceil(NOW / 80) * 80;
    expect([a?.add(proof("1", edge - 1), NOW), b?.add(proof("1", edge), NOW)]).toEqual([null, "was used before"]);
    expect([a?.add(proof("2", edge), NOW), b?.add(proof("2", edge - 1), NOW)]).toEqual([null, "was used before"]);
  });

  it("tells keys and names apart, whatever they hold", () => {
    const [a] = threads();
    const odd = [proof("1"), proof("2"), proof("1", NOW, "other"), proof('1","key'), proof("", NOW, 'key","1')];
    expect(odd.map((one) => a?.add(one, NOW))).toEqual(odd.map(() => null));
  });

  it("takes no more than so many of one key in all, and others go on", () => {
    const [a, b] = threads(2, 3);
    const given = ["1", "2", "3", "4", "5"].map((jti, i) => (i % 2 === 0 ? a : b)?.add(proof(jti), NOW));
    expect(given).toEqual([null, null, null, "full", "full"]);
    expect(b?.add(proof("1", NOW, "other"), NOW)).toBeNull();
  });

  it("a thread that comes late finds a slot of a newer bucket and refuses; a newer proof takes a slot of an older one", () => {
    const [a, b] = threads();
    // The same table: 4 buckets of 80 s later.
    for (let n = 0; n < 5000; n += 1) a?.add(proof(`late ${n}`, NOW, `key ${n}`), NOW);
    for (let n = 0; n < 100_000; n += 1) expect(a?.add(proof(`${n}`, NOW + 320, `key ${n}`), NOW)).toBeNull();
    for (let n = 0; n < 5000; n += 1) expect(b?.add(proof(`late ${n}`, NOW, `key ${n}`), NOW)).not.toBeNull();
  });

  it.each([1, 31, 45, 59, 120, 400])(
    "what was used %i days ago is in nobody's way, and nothing new counts twice",
    (days) => {
      const [a, b] = threads();
      // The same table: a whole number of turns of 4 buckets later.
      const later = NOW + Math.floor((days * 86_400) / 320) * 320;
      for (let n = 0; n < 500; n += 1) expect(a?.add(proof(`${n}`), NOW)).toBeNull();
      for (let n = 0; n < 500; n += 1) {
        expect(a?.add(proof(`${n}`, later), later)).toBeNull();
        expect(b?.add(proof(`${n}`, later), later)).toBe("was used before");
      }
    },
  );

  it("a full memory refuses and forgets nothing", () => {
    const [a, b] = threads();
    let taken = 0;
    while (taken < 2 ** 18 && a?.add(proof(`${taken}`, NOW, `key ${taken}`), NOW) === null) taken += 1;
    expect(taken).toBeGreaterThan(180_000);
    for (let n = 0; n < taken; n += 97) expect(b?.add(proof(`${n}`, NOW, `key ${n}`), NOW)).not.toBeNull();
  }, 60_000);

  it("threads that race for the same proofs take each one once", async () => {
    const buffer = newSharedProofs(NOW);
    const start = new SharedArrayBuffer(4);
    const module = new URL("shared-proofs.ts", import.meta.url).href;
    const code = `
      const { parentPort, workerData } = require("node:worker_threads");
      import(workerData.module).then(({ createSharedProofs }) => {
        const used = createSharedProofs(workerData.buffer, 65000);
        const ready = new Int32Array(workerData.start);
        Atomics.add(ready, 0, 1);
        while (Atomics.load(ready, 0) < 3) continue;
        let taken = 0;
        for (let n = 0; n < 20000; n += 1) if (used.add({ jkt: "key", jti: String(n), iat: ${NOW} }, ${NOW}) === null) taken += 1;
        parentPort.postMessage(taken);
      });`;
    const workers = [1, 2, 3].map(() => new Worker(code, { eval: true, workerData: { module, buffer, start } }));
    const taken = await Promise.all(workers.map(async (worker) => Number((await once(worker, "message"))[0])));
    expect(taken.reduce((sum, one) => sum + one, 0)).toBe(20_000);
  });
});
