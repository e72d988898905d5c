import fc from "fast-check";
import { expect, it } from "vitest";
import { createEventReader } from "./listing-stream.ts";

const all = (text: string | Buffer) => createEventReader().push(Buffer.from(text));

it.each([
  ["one event", "data: a\n\n", ["a"]],
  ["several lines of data", "data: a\ndata:b\ndata\n\n", ["a\nb\n"]],
  ["other fields and comments", ": keep-alive\nevent: message\nid: 1\nretry: 5\ndata: a\n\n", ["a"]],
  ["one space is taken off", "data:  a \n\n", [" a "]],
  ["CR LF", "data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]],
  ["CR alone", "data: a\r\rdata: b\r\r", ["a", "b"]],
  ["no data", "event: ping\n\n\n\n", []],
  ["no end", "data: a\n", []],
  ["a field that only begins so", "dataset: a\n\n", []],
  ["a byte-order mark", "\ufeffdata: a\n\n", ["a"]],
])("%s", (_, text, events) => expect(all(text)).toEqual(events));

it("B50: bytes that are not UTF-8 end it", () => expect(() => all(Buffer.from([0x64, 0xff, 0x0a]))).toThrow(TypeError));

it("pieces may end anywhere, also within a character or between CR and LF", () => {
  const line = fc.constantFrom("data: é😀", "data", "data:x", ": c", "", "event: e");
  const end = fc.constantFrom("\n", "\r\n", "\r");
  const stream = fc.array(fc.tuple(line, end), { maxLength: 12 }).map((lines) => lines.flat().join(""));
  fc.assert(
    fc.property(stream, fc.array(fc.nat(6), { minLength: 1 }), (text, sizes) => {
      const bytes = Buffer.from(`${text}\n\n`);
      const reader = createEventReader();
      const events: string[] = [];
      for (let at = 0, i = 0; at < bytes.length; i += 1) {
        const size = (sizes[i % sizes.length] ?? 0) + 1;
        events.push(...reader.push(bytes.subarray(at, at + size)));
        at += size;
      }
      expect(events).toEqual(all(bytes));
    }),
    { numRuns: 500 },
  );
});

it("B51: a long line in many pieces takes time in proportion to its length", () => {
  const reader = createEventReader();
  const piece = Buffer.from("x".repeat(1024));
  const started = performance.now();
  reader.push(Buffer.from("data: "));
  for (let i = 0; i < 8192; i += 1) reader.push(piece);
  expect(reader.push(Buffer.from("\n\n"))[0]).toHaveLength(8 * 1024 * 1024);
  expect(performance.now() - started).toBeLessThan(2000);
});
