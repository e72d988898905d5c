import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  atOnce,
  innerObjectSpan,
  looseItemsIn,
  looseObjectSpanIn,
  readObjectSpan,
  setMembers,
  splice,
  type ObjectSpan,
} from "./spans.ts";

const bytes = (text: string) => Buffer.from(text);
const spanOf = (text: string): ObjectSpan => readObjectSpan(bytes(text))!;
const valueOf = (text: string, name: string) => {
  const { start, end } = spanOf(text).members.get(name)!;
  return bytes(text).subarray(start, end).toString();
};

/** A JSON text of a value, with spaces and escapes that `JSON.stringify` would not write. */
function textOf(value: unknown, noise: () => number): string {
  const space = () => ["", "", " ", "\n\t", "\r\n "][noise() % 5];
  const string = (plain: string) =>
    JSON.stringify(plain).replace(/[a-z/]/g, (letter, at: number, all: string) =>
      all[at - 1] === "\\" || noise() % 4 > 0 || letter !== "a" ? letter : "\\u0061",
    );
  if (typeof value === "string") return string(value);
  if (Array.isArray(value))
    return `[${space()}${value.map((item) => textOf(item, noise)).join(`${space()},${space()}`)}${space()}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).map(
      ([name, item]) => `${string(name)}${space()}:${space()}${textOf(item, noise)}`,
    );
    return `{${space()}${members.join(`${space()},${space()}`)}${space()}}`;
  }
  return JSON.stringify(value);
}

const objects = fc.tuple(
  fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 6 }),
  fc.infiniteStream(fc.nat(1000)),
);
const written = (object: object, noise: Iterator<number>) => textOf(object, () => noise.next().value as number);

describe("readObjectSpan", () => {
  it("finds every member of any object, however it is written", () => {
    fc.assert(
      fc.property(objects, ([object, noise]) => {
        const text = written(object, noise);
        const { members } = spanOf(text);
        const found = [...members].map(([name, { start, end }]) => [
          name,
          JSON.parse(bytes(text).subarray(start, end).toString()) as unknown,
        ]);
        const parsed = JSON.parse(text) as object;
        expect(Object.fromEntries(found)).toEqual(parsed);
        expect([...members.keys()].sort()).toEqual(Object.keys(parsed).sort());
      }),
    );
  });

  it("B09: takes what JSON.parse takes, and nothing else", () => {
    const broken = fc.tuple(objects, fc.nat(), fc.constantFrom("", '"', ",", "}", "]", "{", ":", "1", "\\", "\u0001"));
    fc.assert(
      fc.property(broken, ([[object, noise], at, bit]) => {
        const text = written(object, noise);
        const cut = at % (text.length + 1);
        const odd = (text.slice(0, cut) + bit + text.slice(cut + 1)).toWellFormed();
        expect(readObjectSpan(bytes(odd)) !== null).toBe(isPlainObject(odd));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ["an array", "[]"],
    ["two values", "{} {}"],
    ["a byte-order mark", "\ufeff{}"],
    ["a control character", '{"a":"\u0001"}'],
    ["a bad escape", '{"a":"\\x"}'],
    ["a short escape", '{"a":"\\u12"}'],
    ["an open string", '{"a":"b'],
    ["a leading zero", '{"a":01}'],
    ["NaN", '{"a":NaN}'],
    ["a trailing comma", '{"a":1,}'],
    ["a comment", '{"a":1/**/}'],
    ["nothing", ""],
  ])("refuses %s", (_, text) => {
    expect(readObjectSpan(bytes(text))).toBeNull();
  });

  it("B02: one name twice is refused, after decoding it too", () => {
    expect(readObjectSpan(bytes('{"id":1,"id":2}'))).toBeNull();
    expect(readObjectSpan(bytes('{"id":1,"\\u0069d":2}'))).toBeNull();
    expect(spanOf('{"a":{"id":1,"id":2}}').members.size).toBe(1);
  });

  it("B08: bytes that are not UTF-8 are refused", () => {
    expect(readObjectSpan(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toBeNull();
  });

  it("B10: nesting is bounded", () => {
    const nested = (levels: number) => `{"a":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    expect(readObjectSpan(bytes(nested(255)))).not.toBeNull();
    expect(readObjectSpan(bytes(nested(256)))).toBeNull();
    expect(readObjectSpan(bytes("[".repeat(1_000_000)))).toBeNull();
    expect(readObjectSpan(bytes(`{"a":${"[".repeat(1_000_000)}`))).toBeNull();
  });

  it("B11: the members whose places are kept are bounded", () => {
    const wide = (count: number) => `{${Array.from({ length: count }, (_, i) => `"${i}":1`).join()}}`;
    expect(readObjectSpan(bytes(wide(10_000)))).not.toBeNull();
    expect(readObjectSpan(bytes(wide(10_001)))).toBeNull();
    expect(readObjectSpan(bytes(`{"a":${wide(10_001)}}`))).not.toBeNull();
  });

  it.each([
    ["numbers", `[${"1,".repeat(200_000)}-1.5e3]`],
    ["words", `[${"true,".repeat(100_000)}null]`],
    ["escapes", `"${"\\u00e9".repeat(100_000)}"`],
  ])("P14, D27: %s cost about what JSON.parse pays for them", (_, value) => {
    const text = bytes(`{"a":${value}}`);
    const fastest = (run: () => unknown) =>
      Math.min(
        ...Array.from({ length: 5 }, () => {
          const from = performance.now();
          run();
          return performance.now() - from;
        }),
      );
    const parsing = fastest(() => JSON.parse(text.toString()) as unknown);
    expect(readObjectSpan(text)).not.toBeNull();
    expect(fastest(() => readObjectSpan(text))).toBeLessThan(parsing * 8 + 2);
  });

  it("never throws, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (any) => {
        readObjectSpan(any);
      }),
    );
  });
});

function isPlainObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    const names: string[] = [];
    // What a reviver sees last is the root; its members are not unique if some were written twice.
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    if (isObject) names.push(...rootNames(text));
    return isObject && new Set(names).size === names.length;
  } catch {
    return false;
  }
}

/** The names of the root's members, those written twice twice: by a walk over a text that is known to be valid. */
function rootNames(text: string): string[] {
  const names: string[] = [];
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === "{" || letter === "[") depth += 1;
    if (letter === "}" || letter === "]") depth -= 1;
    if (letter !== '"') continue;
    let end = at + 1;
    while (text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
    if (depth === 1 && /^\s*:/.test(text.slice(end + 1))) names.push(JSON.parse(text.slice(at, end + 1)) as string);
    at = end;
  }
  return names;
}

describe("splice", () => {
  it("with what was there is identity", () => {
    fc.assert(
      fc.property(objects, ([object, noise]) => {
        const text = written(object, noise);
        const edits = [...spanOf(text).members.values()].map(({ start, end }) => ({
          start,
          end,
          text: bytes(text).subarray(start, end),
        }));
        expect(splice(bytes(text), edits).toString()).toBe(text);
      }),
    );
  });

  it("reads as the edited object, and every other byte stays", () => {
    fc.assert(
      fc.property(objects, fc.jsonValue(), fc.nat(), ([object, noise], value, which) => {
        const text = written(object, noise);
        const all = [...spanOf(text).members];
        fc.pre(all.length > 0);
        const [name, span] = all[which % all.length]!;
        const edited = splice(bytes(text), [{ ...span, text: JSON.stringify(value) }]);
        const entries = Object.entries(JSON.parse(text) as Record<string, unknown>).map(([key, old]) => [
          key,
          key === name ? value : old,
        ]);
        expect(JSON.parse(edited.toString())).toEqual(JSON.parse(JSON.stringify(Object.fromEntries(entries))));
        expect(edited.subarray(0, span.start)).toEqual(bytes(text).subarray(0, span.start));
        const rest = bytes(text).length - span.end;
        expect(edited.subarray(edited.length - rest)).toEqual(bytes(text).subarray(span.end));
      }),
    );
  });
});

it.each([
  ["{}", { a: "1" }, '{"a":1}'],
  ["{ }", { a: "1", b: "[]" }, '{"a":1,"b":[] }'],
  ['{"b":2}', { a: "1" }, '{"a":1,"b":2}'],
  ['{ "b" : 2, "a" : 3 }', { a: "1" }, '{ "b" : 2, "a" : 1 }'],
  ['{"b":2,"a":3}', { a: "1", c: "4" }, '{"c":4,"b":2,"a":1}'],
])("setMembers: %s with %j is %s", (text, values, expected) => {
  expect(splice(bytes(text), setMembers(spanOf(text), values)).toString()).toBe(expected);
});

it("innerObjectSpan finds the members of a member", () => {
  const text = '{"id":1, "params": {"name":"x", "arguments":{"name":"y"}}}';
  const inner = innerObjectSpan(bytes(text), spanOf(text).members.get("params"))!;
  const { start, end } = inner.members.get("name")!;
  expect(bytes(text).subarray(start, end).toString()).toBe('"x"');
  expect(valueOf(text, "id")).toBe("1");
  expect(innerObjectSpan(bytes(text), spanOf(text).members.get("id"))).toBeNull();
  expect(innerObjectSpan(bytes(text), undefined)).toBeNull();
});

describe("looseItemsIn", () => {
  const itemsOf = (text: string, member?: string) => {
    const items: string[] = [];
    const span = member === undefined ? { start: 0, end: text.length } : spanOf(text).members.get(member);
    const isList = atOnce(looseItemsIn(bytes(text), span, (item) => items.push(item.toString())));
    return isList === null ? null : items;
  };

  it("visits the items that JSON.parse finds, however they are spaced", () => {
    const values = fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 5 });
    const lists = fc.dictionary(fc.string(), values, { maxKeys: 5 });
    fc.assert(
      fc.property(lists, fc.constantFrom(0, 1, "\t", " \n"), (value, space) => {
        const text = JSON.stringify(value, null, space as string);
        for (const [name, list] of Object.entries(value))
          expect(JSON.stringify(itemsOf(text, name)?.map((item) => JSON.parse(item) as unknown))).toBe(
            JSON.stringify(list),
          );
      }),
      { numRuns: 200 },
    );
  });

  it.each(["", "{}", "[", "[1", "[1,]", "[1 2]", "[,1]", '["x]', "1", '[{"a":1'])("%j is no list", (text) =>
    expect(itemsOf(text)).toBeNull(),
  );

  it("a member that is not there is no list", () => expect(itemsOf('{"a":[]}', "b")).toBeNull());
});

describe("looseObjectSpanIn", () => {
  const looseSpan = (text: string) => atOnce(looseObjectSpanIn(bytes(text)));

  it("finds the members that the strict one finds", () => {
    fc.assert(
      fc.property(objects, ([object, noise]) => {
        const text = written(object, noise);
        expect(looseSpan(text)).toEqual(spanOf(text));
      }),
    );
  });

  it.each(["", "[]", "{", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1 "b":2}', "{a:1}", "{1:1}", '{"a":"x}', "{} x"])(
    "%j is no object",
    (text) => expect(looseSpan(text)).toBeNull(),
  );

  it("a name that comes twice is refused; what values hold is not looked at", () => {
    expect(looseSpan('{"a":1,"\\u0061":2}')).toBeNull();
    expect([...(looseSpan('{"a":[{x:"]",}],"b":tru}')?.members.keys() ?? [])]).toEqual(["a", "b"]);
  });
});
