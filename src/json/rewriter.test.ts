// The incremental rewriter: the same bytes however a text is cut, and the same reading as JSON.parse.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { membersOf, withRules, type Place, type TextRule } from "./places.ts";
import { createRewriter, rewrite, RewriteFault } from "./rewriter.ts";

const joined = (parts: readonly Uint8Array[]) => Buffer.concat(parts).toString();

/** Bytes that came out before the end, or that it is a fault. */
function cut(text: Buffer, sizes: readonly number[], place: Place): string {
  const rewriter = createRewriter(place);
  const out: Uint8Array[] = [];
  try {
    for (let at = 0, i = 0; at < text.length; i += 1) {
      const size = Math.max(1, sizes[i % sizes.length] ?? 1);
      out.push(...rewriter.push(Buffer.from(text.subarray(at, at + size))));
      at += size;
    }
    return joined([...out, ...rewriter.end()]);
  } catch (error) {
    if (error instanceof RewriteFault) return "fault";
    throw error;
  }
}

const whole = (text: Buffer | string, place: Place = {}) => cut(Buffer.from(text), [1 << 20], place);

const OBJECT: Place = { mustBeObject: true, close: () => "" };
const rules: readonly TextRule[] = [
  { path: ["content", "*", "uri"], map: (text) => `s+${text}` },
  { path: ["_meta", "ui", "resourceUri"], map: (text) => text.replace("ui://", "ui://s/") },
];
const EDITED = withRules({ members: membersOf({ id: { scalar: () => '"mine"' } }), close: () => '"added":1' }, rules);

describe("edits", () => {
  it.each([
    ['{"id":7}', '{"id":"mine","added":1}'],
    ["{}", '{"added":1}'],
    [' { "a" : [ 1.0 , "x" ] , "id" : -1e2 } \n', ' { "a" : [ 1.0 , "x" ] , "id" : "mine" ,"added":1} \n'],
    ['{"id":null,"b":{"id":1}}', '{"id":"mine","b":{"id":1},"added":1}'],
    [
      '{"content":[{"uri":"a\\u0062"},{"text":"t"},["x"],7]}',
      '{"content":[{"uri":"s+ab"},{"text":"t"},["x"],7],"added":1}',
    ],
    ['{"ID":1,"Content":[{"URI":"a","uri":"b"}]}', '{"ID":"mine","Content":[{"URI":"s+a","uri":"s+b"}],"added":1}'],
    ['{"content":{"uri":"a"}}', '{"content":{"uri":"a"},"added":1}'],
    ['{"content":[{"uri":7},{"uri":{"uri":"x"}}]}', '{"content":[{"uri":7},{"uri":{"uri":"x"}}],"added":1}'],
    [
      '{"_meta":{"ui":{"resourceUri":"ui://rest"},"x":{}}}',
      '{"_meta":{"ui":{"resourceUri":"ui://s/rest"},"x":{}},"added":1}',
    ],
    ['{"_m\\u0065ta":{"ui":{"resourceUri":"ui://é"}}}', '{"_m\\u0065ta":{"ui":{"resourceUri":"ui://s/é"}},"added":1}'],
    ['{"a":"\\ud83d\\ude00😀","n":[[[{}]]]}', '{"a":"\\ud83d\\ude00😀","n":[[[{}]]],"added":1}'],
  ])("%s", (text, expected) => {
    expect(whole(text, EDITED)).toBe(expected);
    expect(cut(Buffer.from(text), [1], EDITED)).toBe(expected);
    expect(joined(rewrite(Buffer.from(text), EDITED))).toBe(expected);
  });
  it("a value that a rule leaves alone keeps its bytes", () => {
    const place = withRules({}, [{ path: ["a"], map: (text) => text }]);
    expect(whole('{"a":"\\u0061\\/"}', place)).toBe('{"a":"\\u0061\\/"}');
  });
});

describe("faults", () => {
  it.each([
    ["a name twice", '{"id":1,"id":2}'],
    ["a name twice, in other letters", '{"id":1,"\\u0069d":2}'],
    ["a name twice, at a place of a rule", '{"content":[{"uri":"a","uri":"b"}]}'],
    ["a lone surrogate that is mapped", '{"content":[{"uri":"\\ud800"}]}'],
    ["an escape that is none", '{"a":"\\x"}'],
    ["half an escape", '{"a":"\\u00g0"}'],
    ["a control character", '{"a":"\n"}'],
    ["bytes that are not UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ["a surrogate in UTF-8", Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
    ["a byte-order mark", "\ufeff{}"],
    ["text behind", "{} x"],
    ["two values", "{}{}"],
    ["a bracket too many", "{}}"],
    ["the wrong bracket", '{"a":[}'],
    ["a comma too many", '{"a":1,}'],
    ["no comma", '{"a":1 "b":2}'],
    ["no value", '{"a":}'],
    ["a leading zero", '{"a":01}'],
    ["a bare point", '{"a":1.}'],
    ["NaN", '{"a":NaN}'],
    ["half a word", '{"a":tru}'],
    ["no end", '{"a":1'],
    ["nothing", ""],
    ["a depth of 257", `{"a":${"[".repeat(256)}${"]".repeat(256)}}`],
    ["a number of 17,000 digits", `{"a":${"1".repeat(17_000)}}`],
    ["spaces without end", `{}${" ".repeat(65_536)}`],
  ])("%s", (_, text) => {
    expect([whole(text, EDITED), cut(Buffer.from(text), [1], EDITED)]).toEqual(["fault", "fault"]);
  });
  it("no object where there must be one, a name that is not one of the few", () => {
    const place: Place = { members: new Map([["result", OBJECT]]), only: new Set(["result"]) };
    expect(whole('{"result":{}}', place)).toBe('{"result":{}}');
    for (const text of ['{"result":[]}', '{"result":null}', '{"result":"x"}', '{"result":1}', '{"other":1}'])
      expect(whole(text, place)).toBe("fault");
  });
  it("what a place throws", () => {
    const refuse = () => {
      throw new RangeError("no");
    };
    expect(() => whole('{"a":1}', { members: new Map([["a", { scalar: refuse }]]) })).toThrow(RangeError);
    expect(() => whole('{"a":[]}', { members: new Map([["a", { noScalar: refuse }]]) })).toThrow(RangeError);
  });
  it("the last bracket does not go on before the end", () => {
    const rewriter = createRewriter({});
    expect(joined(rewriter.push(Buffer.from('{"a":1} ')))).toBe('{"a":1');
    expect(joined(rewriter.end())).toBe("} ");
  });
  it("nothing is held but a token that is edited", () => {
    const rewriter = createRewriter(EDITED);
    rewriter.push(Buffer.from('{"a":"'));
    const chunk = Buffer.alloc(100_000, "x");
    for (let i = 0; i < 10; i += 1)
      expect(rewriter.push(chunk).reduce((sum, part) => sum + part.length, 0)).toBe(100_000);
    rewriter.push(Buffer.from('","id":"'));
    for (let i = 0; i < 10; i += 1) expect(rewriter.push(chunk)).toEqual([]);
    expect(() => rewriter.push(chunk)).toThrow(RewriteFault);
  });
});

/** JSON texts with duplicate names, spaces and escapes, and texts that are nearly JSON. */
const spaced = fc.constantFrom("", "", "", " ", "\n", "\t\r");
const names = fc.constantFrom("id", "ID", "a", "content", "uri", "_meta", "ui", "resourceUri", "i\\u0064", "é");
const leaf = fc.oneof(
  fc.string({ unit: "grapheme" }).map((text) => JSON.stringify(text)),
  fc.double().map((number) => JSON.stringify(number)),
  fc.constantFrom("true", "false", "null", "-0", "1E+2", '"\\ud83d\\ude00"', '"\\u00e9\\n"'),
);
const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc
      .array(fc.tuple(tie("value"), spaced), { maxLength: 4 })
      .map((items) => `[${items.map(([item, s]) => s + item + s).join()}]`),
    fc
      .array(fc.tuple(names, tie("value"), spaced), { maxLength: 4 })
      .map((items) => `{${items.map(([name, item, s]) => `${s}"${name}"${s}:${s}${item}${s}`).join()}}`),
  ),
}));
const object = fc
  .array(fc.tuple(names, value, spaced), { maxLength: 5 })
  .map((items) => `{${items.map(([name, item, s]) => `"${name}"${s}:${item}${s}`).join()}}`);
const broken = fc
  .tuple(object, fc.nat(), fc.constantFrom("", ",", "}", '"', "\\", "1", "\u0000", "{"))
  .map(([text, at, by]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + by + text.slice(place + 1);
  });
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });

describe("properties", () => {
  it("any cut gives the same bytes, or the same fault", () => {
    fc.assert(
      fc.property(fc.oneof(object, broken), sizes, (text, by) => {
        const bytes = Buffer.from(text);
        const expected = whole(bytes, EDITED);
        expect(cut(bytes, by, EDITED)).toBe(expected);
        expect(cut(bytes, [1], EDITED)).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });
  it("takes what JSON.parse takes, and passes it on unchanged", () => {
    fc.assert(
      fc.property(fc.oneof(object, broken), (any) => {
        const text = any.toWellFormed();
        let isObject = true;
        try {
          const read: unknown = JSON.parse(text);
          isObject = typeof read === "object" && read !== null;
        } catch {
          isObject = false;
        }
        expect(whole(text, { mustBeObject: true })).toBe(isObject && text.trimStart().startsWith("{") ? text : "fault");
      }),
      { numRuns: 1000 },
    );
  });
  it("what comes out reads as the edits say", () => {
    const expected = (read: object) => {
      const edited = Object.entries(read).map(([name, item]: [string, unknown]) => [
        name,
        /^id$/i.test(name) ? "mine" : item,
      ]);
      return { ...Object.fromEntries(edited), added: 1 } as object;
    };
    const noScalar = () => {
      throw new RewriteFault("no scalar");
    };
    const place: Place = { ...EDITED, members: membersOf({ id: { scalar: () => '"mine"', noScalar } }) };
    fc.assert(
      fc.property(object, (text) => {
        const out = whole(text, place);
        if (out === "fault") return;
        expect(JSON.parse(out)).toEqual(expected(JSON.parse(text) as object));
      }),
      { numRuns: 500 },
    );
  });
});
