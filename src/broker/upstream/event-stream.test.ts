import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HttpFault } from "../../http/client.ts";
import { createEventParser, eventOf } from "./event-stream.ts";

const MAX = 1024;

/** The events of a stream that comes in chunks of these sizes. */
function parse(text: string | Buffer, sizes: readonly number[] = [Infinity], maxBytes = MAX): [string, string][] {
  const parser = createEventParser(maxBytes);
  const bytes = Buffer.from(text);
  const events = [];
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1);
    events.push(...parser.push(bytes.subarray(at, at + size)));
    at += size;
  }
  events.push(...parser.end());
  return events.map(({ type, data }) => [type, data.toString()]);
}

describe("createEventParser", () => {
  it.each<[string, string, [string, string][]]>([
    ["one event", "data: a\n\n", [["message", "a"]]],
    ["CRLF", "event: x\r\ndata: a\r\n\r\n", [["x", "a"]]],
    [
      "CR",
      "data: a\r\rdata: b\r\r",
      [
        ["message", "a"],
        ["message", "b"],
      ],
    ],
    [
      "mixed ends",
      "data: a\r\ndata: b\n\rdata: c\r\n\n",
      [
        ["message", "a\nb"],
        ["message", "c"],
      ],
    ],
    ["several data lines", "data: a\ndata:\ndata: b\n\n", [["message", "a\n\nb"]]],
    ["comments, ids and retry", ": ping\nid: 1\nretry: 10\ndata: a\n: pong\n\n", [["message", "a"]]],
    ["an event without data", "event: x\n\nid: 1\ndata: \n\ndata: a\n\n", [["message", "a"]]],
    ["no space after the colon", "data:a\n\n", [["message", "a"]]],
    ["two spaces after the colon", "data:  a\n\n", [["message", " a"]]],
    ["a byte-order mark", "\ufeffdata: a\n\n", [["message", "a"]]],
    ["a byte-order mark later", "data: a\n\n\ufeffdata: b\n\n", [["message", "a"]]],
    ["unknown fields", "data: a\nx: y\ndatax: b\nDATA: c\n\n", [["message", "a"]]],
    [
      "no empty line at the end",
      "data: a\n\ndata: b",
      [
        ["message", "a"],
        ["message", "b"],
      ],
    ],
    ["nothing", "", []],
    ["another type", "event: endpoint\ndata: /x\n\n", [["endpoint", "/x"]]],
    ["text beyond ASCII", "data: é\u{1f600}\n\n", [["message", "é\u{1f600}"]]],
  ])("%s", (_, text, expected) => {
    expect(parse(text)).toEqual(expected);
    for (const sizes of [[1], [2], [3, 1]]) expect(parse(text, sizes)).toEqual(expected);
  });

  it("reads the same however the bytes come", () => {
    const pieces = fc.array(
      fc.constantFrom("data: ", "data:", "event: ", ": c", "\n", "\r", "\r\n", "\n\n", "a", "{}", "é", " "),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(pieces, fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), (parts, sizes) => {
        expect(parse(parts.join(""), sizes)).toEqual(parse(parts.join("")));
      }),
      { numRuns: 500 },
    );
  });

  it("any messages come back from the events that carry them", () => {
    const values = fc.array(fc.tuple(fc.jsonValue(), fc.constantFrom("", " ", "\t", "\n")), { maxLength: 5 });
    const ends = fc.constantFrom("\n", "\r", "\r\n", "\r\r");
    fc.assert(
      fc.property(values, ends, (list, end) => {
        const texts = list.map(([value, indent]) => JSON.stringify(value, null, indent).replaceAll("\n", end));
        const stream = Buffer.concat(texts.flatMap((text) => eventOf([Buffer.from(text)])));
        const expected = texts.map((text) => ["message", text.replaceAll(/[\r\n]/g, " ")]);
        expect(parse(stream, [5], 1 << 20)).toEqual(expected);
      }),
    );
  });

  it("P14, B51: an event weighs what its message weighs, however many line ends that has", () => {
    const message = Buffer.from(`{${"\n".repeat(1 << 20)}}`);
    expect(Buffer.concat(eventOf([message])).length).toBeLessThan(message.length + 100);
  });

  it.each([
    ["one line", `data: ${"a".repeat(MAX + 1)}\n\n`],
    ["many lines", `data: ${"a".repeat(60)}\n`.repeat(20)],
    ["a line that never ends", "a".repeat(MAX + 1)],
    ["a comment that never ends", `:${"a".repeat(MAX)}`],
    ["a comment that ends", `:${"a".repeat(MAX)}\n`],
    ["a field that we skip", `id: ${"a".repeat(MAX)}\n\n`],
    ["the first line with a byte-order mark", `\ufeff:${"a".repeat(MAX - 2)}\n`],
  ])("B51: an event above the limit fails: %s", (_, text) => {
    for (const sizes of [[Infinity], [7]])
      expect(() => parse(text, sizes)).toThrow(expect.objectContaining({ code: "too_large" }) as HttpFault);
  });

  it("P14: a chunk is not searched anew for the line end that it does not have", () => {
    for (const [end, other] of [
      ["\r", "\n"],
      ["\n", "\r"],
    ] as const) {
      const chunk = Buffer.from(`x${end}`.repeat(1000));
      const inner = chunk.indexOf.bind(chunk);
      let searches = 0;
      const indexOf = (byte: number, from: number) => {
        if (byte === other.charCodeAt(0)) searches += 1;
        return inner(byte, from);
      };
      createEventParser(MAX).push(Object.assign(chunk, { indexOf }));
      expect(searches).toBeLessThan(3);
    }
  });

  it("a long event is the same however it is cut, and is no longer than the limit", () => {
    const long = "x".repeat(5000);
    const text = `\ufeffdata: ${long}\r\ndata:${long}\n: c\nevent: y\ndata: ${long}\r\r${`data: ${long}\n\n`.repeat(2)}data: ${long}`;
    const expected = parse(text, [Infinity], 1 << 20);
    expect(expected.map(([type, data]) => [type, data.length])).toEqual([
      ["y", 15_002],
      ["message", 5000],
      ["message", 5000],
      ["message", 5000],
    ]);
    for (const sizes of [[1], [700, 3], [1024], [6000]]) expect(parse(text, sizes, 1 << 20)).toEqual(expected);
    const atLimit = `data: ${"x".repeat(4090)}\n\n`;
    for (const sizes of [[Infinity], [1], [1000]]) {
      expect(parse(atLimit, sizes, 4096)).toHaveLength(1);
      expect(() => parse(atLimit, sizes, 4095)).toThrow();
    }
  });

  it("an event that is taken over comes in parts, and ends as others do", () => {
    const long = "x".repeat(5000);
    const text = Buffer.from(`data: a\n\ndata: ${long}\ndata: ${long}\nevent: z\n\ndata: b\n\n`);
    for (const size of [1, 7, 1500]) {
      const parser = createEventParser(20_000);
      const parts: Uint8Array[] = [];
      const events = [];
      let isTaken = false;
      for (let at = 0; at < text.length; at += size) {
        events.push(...parser.push(text.subarray(at, at + size)));
        if (parser.length < 2000 || isTaken) continue;
        isTaken = true;
        parser.takeOver((data) => {
          parts.push(data);
          return (part) => parts.push(part);
        });
        expect(parser.length).toBeLessThan(1024);
      }
      events.push(...parser.end());
      expect(events.map(({ type, data, isTaken: taken }) => [type, data.toString(), taken])).toEqual([
        ["message", "a", undefined],
        ["z", "", true],
        ["message", "b", undefined],
      ]);
      expect(Buffer.concat(parts).toString()).toBe(`${long}\n${long}`);
    }
    const parser = createEventParser(6000);
    parser.push(Buffer.from(`data: ${long}`));
    parser.takeOver(() => null);
    expect(parser.push(Buffer.from("\n\n"))).toHaveLength(1);
    parser.push(Buffer.from(`data: ${long}`));
    parser.takeOver(() => () => {});
    expect(() => parser.push(Buffer.from(`\ndata: ${long}\n`))).toThrow("too_large");
  });

  it("comments and other fields do not add up", () => {
    expect(parse(`${`:${"a".repeat(900)}\n`.repeat(50)}data: a\n\n`, [100])).toEqual([["message", "a"]]);
  });
});
