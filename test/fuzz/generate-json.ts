// JSON-RPC bodies in the many spellings that the grammar allows (RFC 8259): order, space, escapes, names that look like
// others. Pure.
import { METHOD_NAMES } from "../../src/mcp/method-table.ts";
import { numberText } from "./generate-number.ts";
import type { Random } from "./random.ts";

const words = (text: string) => text.split(" ");
const PLAIN_NAMES = words("path force limit branch dry_run duration text a b c id type");
const PROTOCOL_NAMES = words("name uri arguments method params jsonrpc _meta cursor error result");
const ODD_NAMES = [
  ...words(
    "__proto__ constructor toString length 0 1 -1 00 Force FORCE é e\u0301 ſ \u212a ß 名 😀 \u200b \ufeff \ufeffname",
  ),
  ...words("\u2028 \ud7ff \ue000 \uffff \u{10ffff} ı İ / a/b"),
  ...["", '"', "a b", " ", "\u00a0", "a".repeat(70), "é".repeat(60)],
];
/** A body with one of these in it is mostly refused. */
const REFUSED_NAMES = words(String.raw`\ a\ dur\ \u0041 NAME Arguments Params Method ＮＡＭＥ nam\u0065`);
const ODD_TEXTS = [
  ...ODD_NAMES,
  ...REFUSED_NAMES,
  ...["\u0000", "\u0001", "\b\f\n\r\t", "\u007f", "\u0085", "true", "null", "1", "</script>", "a\u0000b", "😀😀"],
];
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-. /\\"é\u4e2d😀';
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "/": "\\/",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/** One string as JSON, letter by letter raw or escaped. */
export function stringText(value: string, random: Random): string {
  if (random.below(3) > 0) return JSON.stringify(value);
  const often = random.pick([1, 2, 8]);
  let text = '"';
  for (const letter of value) text += random.oneIn(often) ? escaped(letter, random) : plainLetter(letter);
  return `${text}"`;
}

/** One name as JSON: mostly in spellings that writers of JSON have, and now and then in any. */
export function nameText(name: string, random: Random): string {
  if (random.oneIn(60)) return stringText(name, random);
  if (random.below(3) > 0) return JSON.stringify(name);
  let text = "";
  for (const letter of name)
    text += letter > "\u007e" || letter === "/" ? escaped(letter, random) : plainLetter(letter);
  return `"${text}"`;
}

function plainLetter(letter: string): string {
  return JSON.stringify(letter).slice(1, -1);
}

function escaped(letter: string, random: Random): string {
  const short = SHORT_ESCAPES[letter];
  if (short !== undefined && random.oneIn(2)) return short;
  let text = "";
  for (let i = 0; i < letter.length; i += 1) {
    const hex = letter.charCodeAt(i).toString(16).padStart(4, "0");
    text += `\\u${random.oneIn(2) ? hex : hex.toUpperCase()}`;
  }
  return text;
}

export function space(random: Random): string {
  return random.below(8) > 0 ? "" : random.pick([" ", "\n", "\t", "\r\n", "  ", "\r"]);
}

export function randomName(random: Random): string {
  const kind = random.below(10);
  if (kind < 5) return random.pick(PLAIN_NAMES);
  if (kind < 6) return random.oneIn(4) ? random.pick(REFUSED_NAMES) : random.pick(PROTOCOL_NAMES);
  return kind < 8 ? random.pick(ODD_NAMES) : letters(random, 12).replaceAll("\\", random.oneIn(8) ? "\\" : "/");
}

function letters(random: Random, most: number): string {
  let text = "";
  const count = random.below(most);
  const from = [...LETTERS];
  for (let i = 0; i < count; i += 1) text += random.pick(from);
  return text;
}

function randomText(random: Random): string {
  const kind = random.below(6);
  if (kind === 0) return random.pick(ODD_TEXTS);
  return letters(random, kind === 1 ? 40 : 8);
}

/** Members as an object's text. Names and values are JSON texts. */
export function objectText(members: readonly (readonly [string, string])[], random: Random): string {
  const parts = members.map(
    ([name, value]) => `${space(random)}${name}${space(random)}:${space(random)}${value}${space(random)}`,
  );
  return `{${parts.join(",")}}`;
}

export function valueText(random: Random, depth: number): string {
  const kind = random.below(depth > 0 ? 9 : 6);
  if (kind < 2) return stringText(randomText(random), random);
  if (kind < 4) return random.oneIn(2) ? String(random.below(100)) : numberText(random);
  if (kind < 6) return random.pick(["true", "false", "null", "{}", "[]", '""']);
  if (kind < 8) return objectText(randomMembers(random, depth - 1), random);
  const items = Array.from({ length: random.below(4) }, () => valueText(random, depth - 1));
  return random.oneIn(3) ? repeatedShape(random, depth - 1) : `[${items.join(`${space(random)},`)}]`;
}

function randomMembers(random: Random, depth: number): Members {
  const names = new Set(Array.from({ length: random.below(5) }, () => randomName(random)));
  return [...names].map((name) => [nameText(name, random), valueText(random, depth)] as const);
}

/** Objects of one shape, their names spelled anew each time: a reader may remember the shape. */
function repeatedShape(random: Random, depth: number): string {
  const names = [...new Set(Array.from({ length: 1 + random.below(3) }, () => randomName(random)))];
  const object = () =>
    objectText(
      names.map((name) => [nameText(name, random), valueText(random, Math.min(depth, 0))]),
      random,
    );
  return `[${Array.from({ length: 2 + random.below(3) }, object).join(",")}]`;
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const result = [...list];
  for (let i = result.length - 1; i > 0; i -= 1) {
    const j = random.below(i + 1);
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}

function idText(random: Random): string {
  if (random.oneIn(3)) return stringText(letters(random, 12), random);
  return random.oneIn(4) ? numberText(random) : String(random.below(100));
}

export interface BodyParts {
  readonly method?: string;
  /** JSON texts of `params.name` or `params.uri`, and of `params.arguments`. */
  readonly name?: string;
  readonly arguments?: string;
}

/** A request, mostly one that is accepted. */
export function bodyText(random: Random, parts: BodyParts = {}): string {
  const method = parts.method ?? (random.oneIn(4) ? random.pick(METHOD_NAMES) : "tools/call");
  const params = objectText(shuffled(paramsOf(random, method, parts), random), random);
  const members: Members = [
    [nameText("jsonrpc", random), stringText("2.0", random)],
    [nameText("id", random), idText(random)],
    [nameText("method", random), stringText(method, random)],
    [nameText("params", random), params],
  ];
  return `${space(random)}${objectText(random.oneIn(2) ? members : shuffled(members, random), random)}${space(random)}`;
}

type Members = (readonly [string, string])[];

function randomArguments(random: Random): Members {
  return random.oneIn(300) ? manyMembers(random) : randomMembers(random, 1 + random.below(3));
}

/** Readers keep large objects, and names that are numbers, in other ways than small ones. */
function manyMembers(random: Random): Members {
  const prefix = random.pick(["", "n", "é", "a".repeat(20)]);
  const from = random.oneIn(4) ? 2 ** 32 - 20 : 0;
  const names = Array.from({ length: 20 + random.below(300) }, (_, i) => `${prefix}${from + i}`);
  return shuffled(names, random).map((name) => [nameText(name, random), String(random.below(10))] as const);
}

function paramsOf(random: Random, method: string, parts: BodyParts): Members {
  const member = (text: string) => nameText(text, random);
  const isUri = method === "resources/read";
  const name = parts.name ?? stringText(isUri ? "demo://resource/1" : letters(random, 10) || "echo", random);
  const params: Members = [[member(isUri ? "uri" : "name"), name]];
  const args = parts.arguments ?? objectText(randomArguments(random), random);
  if (parts.arguments !== undefined || !random.oneIn(6)) params.push([member("arguments"), args]);
  if (random.oneIn(5)) params.push([member("_meta"), objectText(randomMembers(random, 1), random)]);
  if (random.oneIn(12)) params.push([member(`x${randomName(random)}`), valueText(random, 1)]);
  return params;
}
