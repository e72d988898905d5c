import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findTool } from "../files/program.ts";
import { readData } from "./data.ts";

const yaml = (text: string, path = "data.yaml") => readData([{ path, text }]);
const json = (text: string) => readData([{ path: "data.json", text }]);

describe("the author's data", () => {
  it("is one JSON text, names in order, a folder a key, whoever wrote it in which form", () => {
    const files = [
      { path: "sub/a/data.json", text: '{"z": 1, "b": [true, null]}' },
      { path: "data.yaml", text: 'grants:\n  engineering: {demo: [echo, "search_*"]}\nsub: {c: 1.50}\n' },
      { path: "policy.rego", text: "not data" },
    ];
    expect(readData(files)).toBe(
      '{"grants":{"engineering":{"demo":["echo","search_*"]}},"sub":{"a":{"b":[true,null],"z":1},"c":1.5}}',
    );
    expect(readData(files.toReversed())).toBe(readData(files));
    expect(readData([])).toBe("{}");
  });

  it.each([
    ["a: 1000", '{"a":1000}'],
    ["a: |-\n  x", '{"a":"x"}'],
    ["a: >\n  x\n", '{"a":"x\\n"}'],
    ["a: {b: , 'c':1}", '{"a":{"b":null,"c":1}}'],
    ["a: 1e3", '{"a":1000}'],
    ["a: -1.5", '{"a":-1.5}'],
    ["a: true", '{"a":true}'],
    ["a: ~", '{"a":null}'],
    ["a:", '{"a":null}'],
    ["a: 'yes'", '{"a":"yes"}'],
    ['a: "1_000"', '{"a":"1_000"}'],
    ["a: docs://*", '{"a":"docs://*"}'],
    ["a: 10.0.0.0/8", '{"a":"10.0.0.0/8"}'],
    ["a: 1.2.3", '{"a":"1.2.3"}'],
    ["a: 3f2a", '{"a":"3f2a"}'],
    ["a: |\n  x\n  y\n", '{"a":"x\\ny\\n"}'],
    ["a: x\n  y\n", '{"a":"x y"}'],
    ["'1': x", '{"1":"x"}'],
    ["__proto__: {x: 1}", '{"__proto__":{"x":1}}'],
    ["# c\na: 1 # d\n", '{"a":1}'],
    ["\ufeffa: 1\n", '{"a":1}'],
    ['a: "\\u2028"', '{"a":"\u2028"}'],
    ['a: "\\ud83d\\ude00"', '{"a":"😀"}'],
  ])("takes %j as every reader does", (text, expected) => expect(yaml(text)).toBe(expected));

  it.each([
    "1_000",
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "n",
    "2001-12-14",
    "12:30",
    "190:20:30",
    "017",
    "08",
    "0o17",
    "0O17",
    "0b11",
    "0x1F",
    "0X1f",
    "+5",
    "5.",
    ".5",
    ".inf",
    "-.INF",
    ".nan",
    "9007199254740993",
    "100000000000000000001",
    "0.1e400",
    "1e-400",
    "100.00000000000000001",
  ])("refuses an unquoted %s, with file, line and cure", (value) => {
    expect(() => yaml(`a: 1\nb:\n  - ${value}\n`)).toThrow(/^data\.yaml:3: .*quotes/);
    expect(yaml(`a: '${value}'`)).toBe(`{"a":"${value}"}`);
  });

  it.each<[string, string, RegExp]>([
    ["a key that comes twice", "a: 1\nb: 1\na: 2\n", /^data\.yaml:3: the key a comes twice/],
    ["the same in a flow", "x: {a: 1,\n a: 2}\n", /^data\.yaml:2: the key a comes twice/],
    ["a key that is twice the same once written out", 'a: 1\n"\\x61": 2\n', /^data\.yaml:2: the key a comes twice/],
    ["an anchor", "x:\n  a: &a 1\n", /^data\.yaml:2: the anchor &a/],
    ["an alias", "x:\n  a: *b\n", /^data\.yaml:2: .*b/],
    ["a merge key", "x:\n  <<: {a: 1}\n", /^data\.yaml:2: the merge key/],
    ["a tag", "a: !!str 1\n", /^data\.yaml:1: the tag/],
    ["a tag of their own", "a: !secret x\n", /^data\.yaml:1: /],
    ["a number as key", "x:\n  1: a\n", /^data\.yaml:2: a key that is not text/],
    ["true as key", "true: a\n", /^data\.yaml:1: a key that is not text/],
    ["yes as key", "yes: a\n", /^data\.yaml:1: yes is one thing/],
    ["null as key", "? \n: a\n", /^data\.yaml:1: a key that is not text/],
    ["a list as key", "[a]: b\n", /^data\.yaml:1: a key that is not text/],
    ["a second document", "a: 1\n---\nb: 1\n", /^data\.yaml:[23]: a second document/],
    ["a version", "%YAML 1.1\n---\na: 1\n", /^data\.yaml:1: leave the %YAML/],
    ["half of a character", 'a: "\\ud800"\n', /^data\.yaml:1: half of a surrogate/],
    ["a line break of YAML 1.1 only", 'b: 1\na: "x\u2028y"\n', /^data\.yaml:2: the character U\+2028/],
    ["another one", "b: 1\na: x\u0085y\n", /^data\.yaml:2: the character U\+0085/],
    ["a control character", "a: x\u0007y\n", /^data\.yaml:1: the character U\+0007/],
    ["a line break of old Macs", "b: 2\n# list\rbanned: [mallory]\na: 1\n", /^data\.yaml:2: the character U\+000D/],
    ["a key behind a question mark, whose rest is lost", '? "a" [b]\n', /^data\.yaml:1: the question mark/],
    ["one in a flow", "x:\n  {? a}\n", /^data\.yaml:2: the question mark/],
    ["a colon that belongs to the key or ends it", "x:\n  {a:}\n", /^data\.yaml:2: write a space after the colon/],
    ["one in a list", "x: [a:, b]\n", /^data\.yaml:1: write a space after the colon/],
    ["one before a list", "x: {a:[b]}\n", /^data\.yaml:1: write a space after the colon/],
    ["a text that is cut off", "a: 1\nb: 'x''", /^data\.yaml:\d: Missing closing/],
    ["another one", 'a: 1\nb: "x\\"', /^data\.yaml:\d: Missing closing/],
    ["a block whose last line may have an end", "a: 1\nb: |\n  x", /^data\.yaml:2: end the file with a line break/],
    ["a byte-order mark inside", "a: x\ufeffy\n", /^data\.yaml:1: the character U\+FEFF/],
    ["a syntax error", "a: 1\nb: [\n", /^data\.yaml:\d: /],
    ["a list", "- a\n", /^data\.yaml:1: data is an object/],
    ["nothing", "", /^data\.yaml:1: data is an object/],
    ["a comment", "# a\n", /^data\.yaml:1: data is an object/],
  ])("refuses %s, with file and line", (_, text, expected) => expect(() => yaml(text)).toThrow(expected));

  it.each<[string, string, RegExp]>([
    ["a name that comes twice", '{"a": 1,\n"a": 2}', /^data\.json:2: a name comes twice/],
    ["a comment", '{"a": 1 // x\n}', /^data\.json:1: /],
    ["NaN", '{"a":\n NaN}', /^data\.json:2: /],
    ["an integer that a double rounds", '{\n"a": 9007199254740993}', /^data\.json:2: /],
    ["half of a character", '{"a": "\\ud800"}', /^data\.json:1: /],
    ["a list", "[1]", /^data\.json:1: data is an object/],
    ["a cut-off text", '{"a": 1', /^data\.json:1: /],
  ])("refuses JSON with %s, with file and line", (_, text, expected) => expect(() => json(text)).toThrow(expected));

  it("refuses a value in two files", () => {
    const two = (a: string, b: string) => () =>
      readData([
        { path: "data.yaml", text: a },
        { path: "x/data.yaml", text: b },
      ]);
    expect(two("x: {a: 1}", "b: 2")()).toBe('{"x":{"a":1,"b":2}}');
    expect(two("x: {a: 1}", "a: 1")).toThrow(/^x\/data\.yaml: data\.x\.a has a value in another file/);
    expect(two("x: 5", "a: 1")).toThrow(/^x\/data\.yaml: data\.x has a value in another file/);
  });
});

const opa = findTool("opa");

/** What opa's own reader (YAML 1.1) makes of a file. */
function opaReads(text: string): unknown {
  const folder = mkdtempSync(join(tmpdir(), "mcp-authz-data-"));
  try {
    writeFileSync(join(folder, "data.yaml"), text);
    const printed = execFileSync(opa ?? "", ["eval", "-d", folder, "-f", "raw", "data"], { encoding: "utf8" });
    return JSON.parse(printed);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const isAccepted = (scalar: string) => {
  try {
    yaml(`a:\n- ${scalar}\n`);
    return true;
  } catch {
    return false;
  }
};

it.skipIf(opa === null)("of any unquoted scalar that is accepted, opa's own reader makes the same value", () => {
  const letters = fc.constantFrom(..."0011279__..--++::eExXoObBaAfFyYnNtTrueslinfNAULL~<=#/*ö ");
  const scalars = fc.oneof(
    fc.array(letters, { minLength: 1, maxLength: 8 }).map((list) => list.join("").trim()),
    fc.constantFrom("null", "Null", "NULL", "~", "true", "True", "TRUE", "tRue", "off", "Yes", "2001-12-14t21:59:43Z"),
    fc.double().map(String),
    fc.integer().map(String),
  );
  const sample = fc.sample(scalars, { numRuns: 8_000, seed: 20_261_129 });
  const accepted = sample.filter((scalar) => scalar !== "" && isAccepted(scalar));
  expect([accepted.length > 500, sample.length - accepted.length > 500], "both kinds come").toEqual([true, true]);
  const text = `list:\n${accepted.map((scalar) => `- ${scalar}\n`).join("")}`;
  expect(JSON.parse(yaml(text))).toEqual(opaReads(text));
});
