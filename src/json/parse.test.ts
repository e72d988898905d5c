import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseJson } from "./parse.ts";

describe("parseJson", () => {
  it("F2: reads an escaped name right, whatever was read before", () => {
    for (const parse of [parseJson, (text: string) => JSON.parse(text) as unknown])
      parse(String.raw`{"first-name":true,"\\":1}`); // plants it, in the V8 that has the fault
    const victim = String.raw`{"first-name":true,"\u0041":1}`;
    expect(Object.keys(parseJson(victim) as object)).toEqual(["first-name", "A"]);
  });

  it("keeps any names, numbers as doubles, and no prototype's name", () => {
    expect(JSON.stringify(parseJson(String.raw`{"\\":1,"a":1.50,"A":"\n","__proto__":{}}`))).toBe(
      String.raw`{"\\":1,"a":1.5,"A":"\n","__proto__":{}}`,
    );
  });

  it.each(["", "{", '"\\x"', '{"a":"\\n"', '{"a":"\\n"} x', "[1,]"])("throws for %j", (text) =>
    expect(() => parseJson(text)).toThrow(SyntaxError),
  );

  it("otherwise gives what JSON.parse gives", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        if (!text.isWellFormed()) return;
        // Names that escape nothing cannot be taken for others.
        if (/\\(?:[^"\\]|\\.)*"\s*:/.test(text)) return;
        expect(JSON.stringify(parseJson(text))).toBe(JSON.stringify(JSON.parse(text)));
      }),
      { numRuns: 1000 },
    );
  });
});

/** Where `JSON.parse` may stand, and why it is no danger there. */
const ALLOWED: Readonly<Record<string, string>> = {
  "files/version.ts": "package.json of ours, in which no name has an escape",
  "json/parse.ts": "texts without a backslash only",
  "json/strict-string.ts": "one string literal: the fault is in the names of objects",
};

it("nothing else in src parses JSON with V8's own parser", () => {
  const src = resolve(import.meta.dirname, "..");
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && !name.endsWith(".test.ts"),
  );
  expect(files.length).toBeGreaterThan(100);
  const parsing = files.filter((name) => {
    const code = readFileSync(join(src, name), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
    return /\bJSON\s*(?:\??\.\s*parse|\[)|\.json\(\)|\{[^}]*\bparse\b[^}]*\}\s*=\s*JSON\b/.test(code);
  });
  expect(parsing.toSorted()).toEqual(Object.keys(ALLOWED).toSorted());
});
