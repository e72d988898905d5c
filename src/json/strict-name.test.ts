import { describe, expect, it } from "vitest";
import { foldName } from "./strict-name.ts";
import { readJson } from "./strict-reader.ts";

const detailOf = (text: string) => {
  const read = readJson(Buffer.from(text));
  return read.ok ? "ok" : read.detail;
};

describe("a name that V8 can read as another one (docs/v8-json-parse.md)", () => {
  it.each([
    ["a backslash alone", String.raw`{"c":true,"\\":1}`],
    ["a backslash at the end", String.raw`{"q7":0,"duratio\\":1}`],
    ["as \\u005c", String.raw`{"duratio\u005c":1}`],
    ["as \\u005C", String.raw`{"duratio\u005C":1}`],
    ["two of them", String.raw`{"a\\\\b":1}`],
    ["before what looks like an escape", String.raw`{"\\u0041":1}`],
    ["deep inside", String.raw`{"a":[{"b":{"c\\":1}}]}`],
  ])("%s is refused", (_, text) => expect(detailOf(text)).toBe("a backslash in a name"));

  it.each([
    ["a letter", String.raw`{"duratio\u006e":1}`],
    ["a capital", String.raw`{"\u0041":1}`],
    ["a digit", String.raw`{"a\u0031":1}`],
    ["a space", String.raw`{"a\u0020b":1}`],
    ["a tilde", String.raw`{"\u007e":1}`],
    ["a quote", String.raw`{"\u0022":1}`],
    ["a slash", String.raw`{"a\u002fb":1}`],
    ["what HTML-safe writers escape", String.raw`{"a\u003cb":1}`],
    ["the first of many", String.raw`{"\u0061lpha":1,"beta":2}`],
    ["behind an escape that may be there", String.raw`{"\u00e9\u006e":1}`],
    ["behind an escaped quote", String.raw`{"\"\u006e":1}`],
    ["deep inside", String.raw`[[{"x":{"\u006e":1}}]]`],
  ])("an escape for %s is refused", (_, text) => expect(detailOf(text)).toMatch(/escapes ASCII/));

  it.each([
    ["PHP's slash", String.raw`{"io.modelcontextprotocol\/protocolVersion":1}`],
    ["a quote", String.raw`{"say \"hi\"":1}`],
    ["Python's ensure_ascii", String.raw`{"gr\u00f6\u00dfe":1}`],
    ["U+0080 and above", String.raw`{"\u00a0b":1}`],
    ["a surrogate pair", String.raw`{"\ud83d\ude00":1}`],
    ["a code point that begins alike", String.raw`{"\u0100":1,"\u2070":1}`],
    ["a value that escapes anything", String.raw`{"a":"\u0041\\\u005c\/\n"}`],
    ["a value that looks like a name", String.raw`["\u0041"]`],
  ])("%s stays", (_, text) => expect(detailOf(text)).toBe("ok"));

  it("what is planted never reaches a reader, so what follows is read as policy read it", () => {
    // Each pair: one text that plants, one that V8 then reads otherwise. Names are unlike those of other tests.
    const pairs = [
      [String.raw`{"pl1":1,"durat\\":2}`, String.raw`{"pl1":1,"durat\u0065":2}`],
      [String.raw`{"pl2":1,"\\":2}`, String.raw`{"pl2":1,"\u0041":2}`],
      [String.raw`{"pl3":1,"a\\u":2}`, String.raw`{"pl3":1,"a\u0062c":2}`],
    ] as const;
    for (const [plant, victim] of pairs) {
      expect(readJson(Buffer.from(plant)).ok).toBe(false);
      expect(readJson(Buffer.from(victim)).ok).toBe(false);
    }
  });
});

describe("names that some parser takes for one", () => {
  it.each([
    ["force", "Force"],
    ["key", "\u212aey"],
    ["params", "param\u017f"],
    ["\u03c3\u03b1\u03c3", "\u03a3\u0391\u03a3"],
    ["\u03c3", "\u03c2"],
    ["id", "\u0131d"],
    ["id", "\u0130D"],
    ["\u00b5", "\u03bc"],
    ["\u1e9e", "\u00df"],
    ["name", "\uff4e\uff41\uff4d\uff45"],
    ["\u00e9", "e\u0301"],
    ["\u03b8", "\u03d1"],
    ["\u0432", "\u1c80"],
  ])("%s and %s", (one, other) => {
    expect(foldName(other)).toBe(foldName(one));
    expect(detailOf(`{${JSON.stringify(one)}:1,${JSON.stringify(other)}:2}`)).toMatch(/twice/);
  });

  it.each([
    ["a", "b"],
    ["\u00e9", "e"],
    ["\u0438", "\u0439"],
    ["id", "ld"],
  ])("but not %s and %s", (one, other) => expect(foldName(other)).not.toBe(foldName(one)));
});
