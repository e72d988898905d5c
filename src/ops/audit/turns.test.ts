import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { createAudit } from "./log.ts";
import { createAuditTurns, endAuditTurn, newAuditTurns } from "./turns.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-turns-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("one writes at a time; the next one comes when it is given back", async () => {
  const memory = newAuditTurns();
  const [a, b] = [createAuditTurns(memory, 0), createAuditTurns(memory, 1)];
  await a.take();
  const order: string[] = [];
  const later = b.take().then(() => order.push("b"));
  order.push("a");
  a.give();
  await later;
  b.give();
  await a.take();
  expect(order).toEqual(["a", "b"]);
});

it("a worker that ends in its turn gives it back, and nobody else's", async () => {
  const memory = newAuditTurns();
  const [a, b] = [createAuditTurns(memory, 0), createAuditTurns(memory, 1)];
  await a.take();
  a.setTorn(true);
  endAuditTurn(memory, 1);
  let isTaken = false;
  const later = b.take().then(() => (isTaken = true));
  await new Promise((done) => setImmediate(done));
  expect(isTaken).toBe(false);
  endAuditTurn(memory, 0);
  await later;
  expect(b.isTorn()).toBe(true);
});

it("after a line that an ended worker left cut off, the next one begins a line of its own", async () => {
  const file = join(folder, "audit.jsonl");
  const memory = newAuditTurns();
  const audits = [0, 1].map((index) =>
    createAudit({
      ...{ file, maxQueued: 100, monotonic: () => performance.now(), onFailure: () => {} },
      turns: createAuditTurns(memory, index),
    }),
  );
  const [first, second] = audits;
  expect(await first?.write({ n: 1 })).toBe(true);
  createAuditTurns(memory, 0).setTorn(true);
  expect(await second?.write({ n: 2 })).toBe(true);
  await Promise.all(Array.from({ length: 60 }, async (_, n) => audits[n % 2]?.write({ n, text: "x".repeat(5000) })));
  await Promise.all(audits.map((audit) => audit.close()));
  const lines = readFileSync(file, "utf8").split("\n");
  expect(lines.slice(0, 3)).toEqual(['{"n":1}', "", '{"n":2}']);
  const each = lines.slice(3, -1).map((line) => (JSON.parse(line) as { n: number }).n);
  expect(each).toHaveLength(60);
  for (const own of [0, 1]) {
    const ofOne = each.filter((n) => n % 2 === own);
    expect(ofOne).toEqual(ofOne.toSorted((a, b) => a - b));
  }
});

it("a worker that can write nothing leaves the cut off line known: the disk is full, and the next one begins a line of its own", async () => {
  const memory = newAuditTurns();
  const turns = createAuditTurns(memory, 1);
  createAuditTurns(memory, 0).setTorn(true);
  const full = { file: "/dev/full", maxQueued: 100, monotonic: () => performance.now(), onFailure: () => {} };
  const audit = createAudit({ ...full, turns });
  expect([await audit.write({ n: 1 }), await audit.write({ n: 2 }), turns.isTorn()]).toEqual([false, false, true]);
  await audit.close();
});
