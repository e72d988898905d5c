// P14, F12: a body costs what a plain body of the same size costs, or what V8 itself pays to parse it, times a small
// constant, whatever is in it.
import { describe, expect, it } from "vitest";
import { headersOf } from "../../test/fakes/authz.ts";
import { readOperation } from "./read-operation.ts";

/** The ceiling of limits.bodyBytes. */
const SIZE = 1024 * 1024;
/** Room for a busy machine. Decoding escapes one by one and folding long names were 25 to 60 times a plain body. */
const MAX_RATIO = 20;
const HEADERS = headersOf([]);

const bodyOf = (args: string) =>
  Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":${args}}}`);
const filled = (unit: string) => unit.repeat(Math.floor((SIZE - 200) / Buffer.byteLength(unit)));
const text = (unit: string) => `{"a":"${filled(unit)}"}`;

/** As many parts as fit, and as may be. */
function many(part: (i: number) => string, open = "{", close = "}", most = 9_900): string {
  const parts: string[] = [];
  let size = 200;
  for (let i = 0; i < most; i += 1) {
    const next = part(i);
    size += Buffer.byteLength(next) + 1;
    if (size > SIZE) break;
    parts.push(next);
  }
  return open + parts.join(",") + close;
}
const list = (part: (i: number) => string, most?: number) => many(part, '{"a":[', "]}", most);
const pad = (i: number) => `${i}${"x".repeat(95)}`;

const HOSTILE: readonly (readonly [string, string])[] = [
  ["short escapes", text(String.raw`\n`)],
  ["escaped ASCII", text(String.raw`\u0041`)],
  ["escapes beyond ASCII", text(String.raw`\u00e9`)],
  ["surrogate pairs", text(String.raw`\ud83d\ude00`)],
  ["escapes and a bad one at the end", `{"a":"${filled(String.raw`\n`)}\\x"}`],
  ["lone surrogates", text(String.raw`\ud83d`)],
  ["letters beyond ASCII", text("é")],
  ["ideographs", text("中")],
  ["emoji", text("😀")],
  ["escapes beside letters beyond ASCII", text(String.raw`é\n`)],
  ["a name that escapes slashes", `{"${filled(String.raw`\/`)}":1}`],
  ["a name of marks", `{"${filled("\u0301\u0323")}":1}`],
  ["many names of marks", many((i) => `"${i}${"\u0301\u0323".repeat(29)}":1`)],
  ["many names of voiced marks", many((i) => `"${i}${"\uff76\uff9e".repeat(29)}":1`)],
  ["names that grow when they are folded", many((i) => `"${i}${"\ufdfa".repeat(58)}":1`)],
  ["names of parts of syllables", many((i) => `"${i}${"\u1100\u1161\u11a8".repeat(19)}":1`)],
  ["short names beyond ASCII", many((i) => `"é${i}":1`)],
  ["names in capitals", many((i) => `"${pad(i).toUpperCase()}":1`)],
  ["names in small letters", many((i) => `"${pad(i)}":1`)],
  ["long texts in a list", list((i) => `"${pad(i)}"`)],
  ["texts with escapes in a list", list((i) => `"\\n${pad(i)}"`)],
  ["empty objects", list(() => "{}")],
  ["objects of one member", list((i) => `{"b":${i}}`, 4_900)],
  ["objects of the same names", list((i) => `{"id":${i},"name":"n${i}","at":${i}.5}`, 2_400)],
  ["deep lists", list(() => "[".repeat(60) + "]".repeat(60), 160)],
  ["deeper than may be", "[".repeat(SIZE - 200)],
  ["small integers", list(() => "1")],
  ["numbers of 17 digits", list((i) => `0.1234567890123456${i % 10}`)],
  ["numbers with exponents", list((i) => `1.234567890123456e-2${i % 10}0`)],
  ["one number of a million digits", `{"a":0.1${filled("0")}}`],
  ["one that a double would change", `{"a":0.1${filled("1")}}`],
  ["an exponent of a million digits", `{"a":1e${filled("0")}5}`],
  ["spaces", `{"a":${filled(" ")}1}`],
  ["letters of no word", filled("e")],
  ["numbers whose sums agree", list((i) => `[${i % 97},${(i * 7) % 97}]`, 3_000)],
  ["a URI of dots", `{"a":1},"uri":"${filled("..;")}"`],
];

function cost(body: Buffer): number {
  return timed(() => readOperation(body, HEADERS));
}

/** V8's own parser, for comparison: many values are slow for any parser, and slower on a busy machine. */
function parsing(body: Buffer): number {
  return timed(() => {
    try {
      JSON.parse(body.toString());
    } catch {
      // the plain body is the measure then
    }
  });
}

function timed(run: () => unknown): number {
  const from = performance.now();
  run();
  return performance.now() - from;
}

/** The best of several turns, against the best of the measures in the same turns: what else runs slows both. */
function ratio(body: Buffer): number {
  let plain = Infinity;
  let parsed = Infinity;
  let hostile = Infinity;
  for (let turn = 0; turn < 8; turn += 1) {
    plain = Math.min(plain, cost(PLAIN));
    parsed = Math.min(parsed, parsing(body));
    hostile = Math.min(hostile, cost(body));
  }
  return hostile / Math.max(plain, parsed);
}

const PLAIN = bodyOf(text("plain text "));

describe("P14, F12: what a body can cost", () => {
  it.each(HOSTILE)("%s", (_, args) => {
    const body = bodyOf(args);
    // Another look for a machine that was busy just then.
    const found = [0, 1, 2, 3].some(() => ratio(body) <= MAX_RATIO);
    expect(found).toBe(true);
  });

  it("the test sees a reader that pays more", () => {
    const slow = bodyOf(text("a"));
    const turns = Array.from({ length: 48 }, () => cost(slow));
    const all = turns.reduce((sum, one) => sum + one, 0);
    expect(all / Math.min(...Array.from({ length: 6 }, () => cost(PLAIN)))).toBeGreaterThan(MAX_RATIO);
  });
});
