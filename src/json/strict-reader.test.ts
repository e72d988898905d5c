import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonValue } from "./types.ts";
import { isExactNumber, readJson } from "./strict-reader.ts";
import { foldName } from "./strict-name.ts";

const read = (text: string | Buffer) => readJson(Buffer.from(text));
const bytes = (...parts: (string | number[])[]) => Buffer.concat(parts.map((part) => Buffer.from(part as string)));

describe("RFC 8259: what is JSON", () => {
  it.each([
    "{}",
    "[]",
    " [ ] ",
    "\t\r\n{}\n",
    '""',
    "0",
    "-0",
    "1e2",
    "1E+2",
    "1.5e-3",
    "-1.0",
    "true",
    "false",
    "null",
    '{"a":{"b":[1,2,{"c":null}]}}',
    '"\\u0041\\n\\/\\\\"',
    '"\\ud83d\\ude00"',
    '"é😀"',
    '{"":1}',
    '{"a":1,"b":2}',
    '[1,"1",true]',
    '"\u007f"',
    "9007199254740993",
    '{"A":1,"b":1}',
    '{"constructor":1,"__proto__":2}',
    "[[[[[[[[[[]]]]]]]]]]",
    "1.7976931348623157e308",
    '"\u2028"',
    '"\\u2028"',
  ])("%s", (text) => {
    const result = read(text);
    expect(result.ok && JSON.stringify(result.value)).toBe(JSON.stringify(JSON.parse(text)));
  });
});

describe("B02–B12: what is refused", () => {
  it.each<[string, string | Buffer]>([
    ["empty", ""],
    ["space", "  "],
    ["two documents", "{}{}"],
    ["trailing text", "{} x"],
    ["trailing comma", "[1,]"],
    ["in an object", '{"a":1,}'],
    ["leading comma", "[,1]"],
    ["comment", "{}//x"],
    ["block comment", "/**/{}"],
    ["single quotes", "{'a':1}"],
    ["bare name", "{a:1}"],
    ["NaN", "NaN"],
    ["Infinity", "-Infinity"],
    ["hex", "0x10"],
    ["leading zero", "01"],
    ["plus", "+1"],
    ["dot", ".5"],
    ["dot end", "1."],
    ["exponent", "1e"],
    ["-", "-"],
    ["upper-case word", "TRUE"],
    ["cut word", "tru"],
    ["cut string", '"a'],
    ["cut object", '{"a":1'],
    ["cut array", "[1"],
    ["lone colon", '{"a"}'],
    ["bad escape", '"\\x41"'],
    ["bad \\u", '"\\u12G4"'],
    ["short \\u", '"\\u12"'],
    ["escaped end", '"\\"'],
    ["raw newline", '"a\nb"'],
    ["raw tab", '"a\tb"'],
    ["NUL in a string", '"a\u0000"'],
    ["B12 overflow", "1e400"],
    ["B08 byte-order mark", bytes([0xef, 0xbb, 0xbf], "{}")],
    ["B08 UTF-16", bytes([0xff, 0xfe, 0x7b, 0, 0x7d, 0])],
    ["B08 overlong", bytes('"', [0xc0, 0xaf], '"')],
    ["B08 surrogate bytes", bytes('"', [0xed, 0xa0, 0x80], '"')],
    ["B08 stray byte", bytes('"', [0xff], '"')],
    ["B08 cut character", bytes('"', [0xe2, 0x82], '"')],
    ["B08 above U+10FFFF", bytes('"', [0xf4, 0x90, 0x80, 0x80], '"')],
    ["lone surrogate", '"\\ud800"'],
    ["lone low surrogate", '"\\udc00"'],
    ["swapped pair", '"\\ude00\\ud83d"'],
    ["B02 duplicate", '{"a":1,"a":1}'],
    ["B02 deep duplicate", '{"x":[{"a":1,"b":{"c":1,"c":2}}]}'],
    ["B06 duplicate after unescaping", '{"a":1,"\\u0061":2}'],
    ["B03 differs in case", '{"name":1,"Name":2}'],
    ["B04 long s", '{"params":1,"param\u017f":2}'],
    ["B04 Kelvin", '{"key":1,"\u212aey":2}'],
    ["full width", '{"name":1,"\uff4eame":2}'],
    ["B05 NUL in a name", '{"method\\u0000":1}'],
    ["DEL in a name", '{"a\u007f":1}'],
    ["P14 a long name beyond ASCII", `{"${"é".repeat(65)}":1}`],
    ["P14 too many names beyond ASCII", `{${Array.from({ length: 9_000 }, (_, i) => `"é${i}":1`).join()}}`],
    ["B10 depth 65", "[".repeat(65) + "]".repeat(65)],
    ["B10 objects", '{"a":'.repeat(65) + "1" + "}".repeat(65)],
    ["B11 members", `[${"1,".repeat(10_000)}1]`],
    ["form feed", "\u000c{}"],
    ["no-break space", "\u00a0{}"],
    ["bytes in place of a value", bytes([0x80])],
  ])("%s", (_, text) => expect(read(text).ok).toBe(false));

  it("at the limits it is fine", () => {
    expect(read("[".repeat(64) + "]".repeat(64)).ok).toBe(true);
    expect(read(`[${"1,".repeat(9_999)}1]`).ok).toBe(true);
    expect(read(`{"${"é".repeat(64)}":1,"${"😀".repeat(64)}":1,"${"a".repeat(100_000)}":2}`).ok).toBe(true);
  });

  it("P14, D27: names that Unicode would sort for minutes end early", () => {
    // Halfwidth voiced marks are letters: runs of marks alone do not tell.
    for (const pair of ["\u0301\u0323", "\u0301\uff9e"]) {
      const from = performance.now();
      expect(read(`{"a${pair.repeat(64_000)}":1}`).ok).toBe(false);
      expect(
        read(JSON.stringify(Object.fromEntries([...Array(500).keys()].map((i) => [i + pair.repeat(30), i])))).ok,
      ).toBe(true);
      expect(performance.now() - from).toBeLessThan(2000);
    }
  });

  it("P14, B51: nor do those of a server's definitions, which are read verbatim", () => {
    const name = `a${"\u0301\u0323".repeat(64_000)}`;
    const from = performance.now();
    expect(foldName(name)).toBe(name);
    expect(performance.now() - from).toBeLessThan(2000);
  });

  it("B10, B11: bombs end early, and never deep in the stack", () => {
    for (const bomb of ["[".repeat(1_000_000), '{"a":'.repeat(200_000), `[${"1,".repeat(1_000_000)}`])
      expect(read(bomb).ok).toBe(false);
  });
});

it("objects have no prototype to pollute (A40)", () => {
  const result = read('{"__proto__":{"admin":true},"toString":1}');
  if (!result.ok) throw new Error(result.detail);
  const prototype = Object.getPrototypeOf(result.value) as object;
  expect([Object.getPrototypeOf(prototype), Reflect.ownKeys(prototype), Object.isFrozen(prototype)]).toEqual([
    null,
    [],
    true,
  ]);
  expect(Object.keys(result.value as object)).toEqual(["__proto__", "toString"]);
  for (const name of ["constructor", "valueOf", "hasOwnProperty"]) expect(name in (result.value as object)).toBe(false);
  expect(({} as Record<string, unknown>)["admin"]).toBeUndefined();
});

describe("verbatim, for what is only passed on", () => {
  const verbatim = { maxDepth: 64, maxMembers: 10_000, verbatim: true };
  const again = (text: string) => {
    const result = readJson(Buffer.from(text), verbatim);
    return result.ok ? JSON.stringify(result.value) : result.detail;
  };

  it.each([
    '{"maximum":9223372036854775807}',
    '{"a":1.0,"b":-0,"c":1e3,"d":0.10,"e":12}',
    '{"id":1,"ID":2,"Id":3}',
    '{"__proto__":{"x":1.50},"toString":[]}',
  ])("%s comes out as it went in", (text) => expect(again(text)).toBe(text));

  it("marks such a number as a leaf", () => {
    const result = readJson(Buffer.from("[1.0,1]"), verbatim);
    expect(result.ok && (result.value as JsonValue[]).map(isExactNumber)).toEqual([true, false]);
  });

  it.each(['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"__proto__":1,"__proto__":2}', "1e400", '"\\ud800"', "[01]"])(
    "%s is refused all the same",
    (text) => expect(readJson(Buffer.from(text), verbatim).ok).toBe(false),
  );
});

it("B02: a name that comes twice is found among few and among many", () => {
  for (const count of [1, 2, 15, 16, 17, 18, 100]) {
    const members = Array.from({ length: count }, (_, i) => `"n${i}":0`);
    expect(read(`{${members.join()}}`).ok).toBe(true);
    for (const twice of [0, count - 1])
      for (const name of [`n${twice}`, `N${twice}`]) expect(read(`{${members.join()},"${name}":1}`).ok).toBe(false);
  }
});

const lowerNames = fc.jsonValue({ maxDepth: 5 });

it("reads what JSON.parse reads, for values without lookalike names", () => {
  fc.assert(
    fc.property(lowerNames, fc.constantFrom(undefined, 1, "\t"), fc.boolean(), (value, indent, long) => {
      const text = JSON.stringify(value, null, indent);
      const result = read(long ? text + " ".repeat(5000) : text);
      if (result.ok)
        expect(JSON.stringify(result.value)).toBe(text === undefined ? text : JSON.stringify(JSON.parse(text)));
      else expect(result.detail).toMatch(/twice|control|surrogate|backslash/);
    }),
    { numRuns: 1000 },
  );
});

it("never throws and never accepts what JSON.parse refuses, for any bytes", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.stringMatching(/^[[\]{}",:0-9truefalsn\\ u-]{0,30}$/).map((s) => Buffer.from(s)),
      ),
      (input) => {
        const text = Buffer.from(input);
        if (readJson(text).ok) expect(() => JSON.parse(text.toString("utf8")) as unknown).not.toThrow();
      },
    ),
    { numRuns: 5000 },
  );
});
