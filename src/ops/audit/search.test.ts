import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { rotatedBeside, searchAuditFile, searchAuditStream } from "./search.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-search-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = join(folder, "audit.jsonl");
const line = (id: string, more: object = {}) =>
  `${JSON.stringify({ time: "2026-11-25T10:00:00.000Z", request_id: id, mesh_request_id: `mesh-${id}`, ...more })}\n`;

async function search(text: string | Buffer, id: string) {
  writeFileSync(file, text);
  return (await searchAuditFile(file, id)).line;
}

describe("the line of a decision", () => {
  it("is found by our id, by the mesh's id, and is the newest of several", async () => {
    const text = line("a", { n: 1 }) + line("b") + line("a", { n: 2 }) + line("c");
    expect(await search(text, "a")).toMatchObject({ n: 2 });
    expect(await search(text, "mesh-b")).toMatchObject({ request_id: "b" });
    expect(await search(text, "nobody")).toBeNull();
  });

  it("J03: is found before a last line that is torn, beside noise, and as a last line without its newline", async () => {
    expect(await search(`${line("a")}{"time":"2026","request_id":"b`, "a")).toMatchObject({ request_id: "a" });
    expect(await search(`noise "a"\n\n\n["a"]\nnull\n${line("a")}"a"\n`, "a")).toMatchObject({ request_id: "a" });
    expect(await search(line("a").trimEnd(), "a")).toMatchObject({ request_id: "a" });
    expect(await search("", "a")).toBeNull();
  });

  it("is found behind a collector's prefix and between a terminal's escapes", async () => {
    const escaped = `\u001b[2K${line("a").trimEnd()}\u001b[0m\r\n`;
    const prefixed = `serve-1  | ${line("b")}`;
    for (const id of ["a", "b"]) {
      expect(await search(escaped + prefixed, id)).toMatchObject({ request_id: id });
      const streamed = await searchAuditStream(Readable.from([Buffer.from(escaped + prefixed)]), id);
      expect(streamed).toMatchObject({ line: { request_id: id }, oldest: "2026-11-25T10:00:00.000Z" });
    }
    expect(await search(`serve-1  | ${line("x", { name: '{"time":"', note: "a" })}`, "a")).toBeNull();
  });

  it("J06: an id that stands in another field is not a match", async () => {
    expect(await search(line("x", { name: "a", note: '"a"' }), "a")).toBeNull();
  });

  it("is found across chunks, and a line without end costs no memory", async () => {
    const many = Array.from({ length: 20_000 }, (_, i) => line(`r${i}`)).join("");
    for (const id of ["r0", "r1", "r777", "r9999", "r19999"]) {
      expect(await search(many, id)).toMatchObject({ request_id: id });
    }
    const endless = Buffer.alloc(8 * 1024 * 1024, "x");
    const before = process.memoryUsage().rss;
    expect(
      await search(Buffer.concat([Buffer.from(line("a")), endless, Buffer.from("\n"), Buffer.from(line("b"))]), "a"),
    ).toMatchObject({ request_id: "a" });
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
  });

  it("property: wherever the chunks fall, the file and the stream give the same line", async () => {
    const ids = fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 3000 })), {
      maxLength: 300,
    });
    await fc.assert(
      fc.asyncProperty(ids, async (lines) => {
        const text = lines.map(([id, size], n) => line(String(id), { n, pad: "p".repeat(size) })).join("");
        const expected = lines.findLastIndex(([id]) => id === 3);
        writeFileSync(file, text);
        const pieces = text.match(/.{1,1000}/gs) ?? [];
        const streamed = await searchAuditStream(Readable.from(pieces.map((piece) => Buffer.from(piece))), "3");
        const read = await searchAuditFile(file, "3");
        expect(read.line?.["n"] ?? -1).toBe(expected);
        expect(streamed.line).toEqual(read.line);
      }),
      { numRuns: 30 },
    );
  });
});

it("says how far back it looked, and what rotation left beside the file", async () => {
  writeFileSync(file, line("a", { time: "2026-11-24T08:00:00.000Z" }) + line("b"));
  expect(await searchAuditFile(file, "nobody")).toEqual({ line: null, oldest: "2026-11-24T08:00:00.000Z" });
  for (const name of ["audit.jsonl.1", "audit.jsonl.2.gz", "audit-20261124.jsonl", "other.jsonl"])
    writeFileSync(join(folder, name), "");
  expect(await rotatedBeside(file)).toEqual(
    ["audit-20261124.jsonl", "audit.jsonl.1", "audit.jsonl.2.gz"].map((name) => join(folder, name)),
  );
});
