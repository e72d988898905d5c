import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createAudit } from "./log.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-audit-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let counter = 0;

function open(file: string | null, maxQueued = 1000) {
  const failures: string[] = [];
  const audit = createAudit({
    file,
    maxQueued,
    monotonic: () => performance.now(),
    onFailure: (message) => failures.push(message),
  });
  return { audit, failures };
}
const fresh = () => join(folder, `a${(counter += 1)}.jsonl`);
const linesOf = (file: string) =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { n: number });

it("a named pipe is not waited for: the writer before was its only one", () => {
  const file = fresh();
  execFileSync("mkfifo", [file]);
  const options = `{ file: ${JSON.stringify(file)}, maxQueued: 1, monotonic: Date.now, onFailure() {}, afterAnother: true }`;
  const module = JSON.stringify(join(import.meta.dirname, "log.ts"));
  const script = `import { createAudit } from ${module}; createAudit(${options}); process.exit(7);`;
  const { status } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { timeout: 20_000 });
  expect(status).toBe(7);
});

it("J06, J10: one whole line per record, in order, whatever is in it", async () => {
  const file = fresh();
  const { audit } = open(file);
  const written = await Promise.all(
    Array.from({ length: 500 }, (_, n) => audit.write({ n, name: `a\n{"decision":"allow"}\u001b[8m${n}` })),
  );
  expect(new Set(written)).toEqual(new Set([true]));
  expect(linesOf(file).map(({ n }) => n)).toEqual(Array.from({ length: 500 }, (_, n) => n));
  await audit.close();
  expect(await audit.write({ n: 1 })).toBe(false);
});

it("appends to what is there, and is not for everybody to read", async () => {
  const file = fresh();
  for (const n of [1, 2]) {
    const { audit } = open(file);
    expect(await audit.write({ n })).toBe(true);
    await audit.close();
  }
  expect(linesOf(file)).toEqual([{ n: 1 }, { n: 2 }]);
});

describe("J01: a sink that fails says false, and heals", () => {
  it.each([
    ["a full disk", "/dev/full", "ENOSPC"],
    ["a folder that is not there", join(folder, "none/audit.jsonl"), "ENOENT"],
    ["a folder in its place", folder, "EISDIR"],
  ])("%s", async (_, file, code) => {
    const { audit, failures } = open(file);
    expect(await Promise.all([audit.write({ n: 1 }), audit.write({ n: 2 })])).toEqual([false, false]);
    expect(failures).toEqual([code]);
    expect(audit.stats.failed).toBe(2);
    await audit.close();
  });

  it("is well again once the sink is", async () => {
    const place = join(folder, "later");
    const { audit } = open(join(place, "audit.jsonl"));
    expect(await audit.write({ n: 1 })).toBe(false);
    execFileSync("mkdir", [place]);
    expect(await audit.write({ n: 2 })).toBe(true);
    expect(linesOf(join(place, "audit.jsonl"))).toEqual([{ n: 2 }]);
    await audit.close();
  });
});

it("J02: a pipe that nobody reads holds no thread, fills the queue, and then says false", async () => {
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
  const { audit } = open(`/proc/self/fd/${writer}`, 50);
  let ticks = 0;
  const timer = setInterval(() => (ticks += 1), 5);
  const records = Array.from({ length: 200 }, (_, n) => ({ n, text: "x".repeat(4000) }));
  const results: (boolean | null)[] = records.map(() => null);
  records.forEach((record, i) => void audit.write(record).then((written) => (results[i] = written)));
  await new Promise((done) => setTimeout(done, 300));
  expect(ticks).toBeGreaterThan(10);
  expect(results.filter((written) => written === false).length).toBe(150);
  clearInterval(timer);
  // Somebody reads at last: what waited arrives, whole and in order.
  let text = "";
  const buffer = Buffer.alloc(65_536);
  const end = Date.now() + 5000;
  while (text.split("\n").length <= 50 && Date.now() < end) {
    try {
      const count = readSync(reader, buffer);
      text += buffer.toString("utf8", 0, count);
    } catch {
      await new Promise((done) => setTimeout(done, 10));
    }
  }
  expect(
    text
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { n: number }).n),
  ).toEqual(Array.from({ length: 50 }, (_, n) => n));
  await audit.close();
  closeSync(reader);
  closeSync(writer);
});

it("rotation: after a rename and reopen the next line is in the new file, and none is lost", async () => {
  const file = fresh();
  const { audit } = open(file);
  await audit.write({ n: 1 });
  renameSync(file, `${file}.1`);
  expect(await audit.write({ n: 2 })).toBe(true);
  await audit.reopen();
  expect(existsSync(file)).toBe(true);
  expect(await audit.write({ n: 3 })).toBe(true);
  expect([linesOf(`${file}.1`), linesOf(file)]).toEqual([[{ n: 1 }, { n: 2 }], [{ n: 3 }]]);
  await audit.close();
});
