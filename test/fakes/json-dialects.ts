// How other parsers read a body: models of the tolerant ones that MCP servers are built with. Each takes bytes and gives
// the (method, name) it would act on, or null if it refuses. Written small and apart from our reader on purpose.

export interface Reading {
  readonly method: unknown;
  readonly name: unknown;
}

export type Dialect = (bytes: Buffer) => Reading | null;

type Members = readonly (readonly [string, Value])[];
type Value = { readonly members: Members } | { readonly items: readonly Value[] } | { readonly scalar: unknown };

interface Options {
  readonly comments?: boolean;
}

/** A tolerant recursive parser that keeps every member in order, duplicates too. */
function parse(text: string, options: Options = {}): Value | null {
  let at = 0;
  const fail = (): never => {
    throw new SyntaxError("model");
  };
  const space = () => {
    for (;;) {
      while (/[ \t\r\n]/.test(text[at] ?? "")) at += 1;
      if (options.comments === true && text.startsWith("//", at))
        at = (text.indexOf("\n", at) + 1 || text.length + 1) - 1;
      else if (options.comments === true && text.startsWith("/*", at))
        at = text.indexOf("*/", at) === -1 ? fail() : text.indexOf("*/", at) + 2;
      else return;
    }
  };
  const string = (): string => {
    const match = /"(?:[^"\\\n]|\\.)*"/sy;
    match.lastIndex = at;
    const found = match.exec(text)?.[0] ?? fail();
    at += found.length;
    return JSON.parse(found) as string;
  };
  const value = (depth: number): Value => {
    if (depth > 500) fail();
    space();
    if (text[at] === "{") return { members: list("}", () => member(depth)) as Members };
    if (text[at] === "[") return { items: list("]", () => value(depth + 1)) as Value[] };
    if (text[at] === '"') return { scalar: string() };
    const match = /-?[0-9][0-9.eE+-]*|true|false|null/y;
    match.lastIndex = at;
    const word = match.exec(text)?.[0] ?? fail();
    at += word.length;
    return { scalar: JSON.parse(word) as unknown };
  };
  const member = (depth: number): readonly [string, Value] => {
    space();
    const name = string();
    space();
    if (text[at] !== ":") fail();
    at += 1;
    return [name, value(depth + 1)];
  };
  const list = (end: string, item: () => unknown): unknown[] => {
    at += 1;
    const found: unknown[] = [];
    space();
    while (text[at] !== end) {
      found.push(item());
      space();
      if (text[at] === ",") at += 1;
      else if (text[at] !== end) fail();
      space();
    }
    at += 1;
    return found;
  };
  try {
    const result = value(0);
    space();
    return at === text.length ? result : null;
  } catch {
    return null;
  }
}

type Pick = (members: Members, wanted: string) => Value | undefined;

const fold = (name: string) => name.toLowerCase().replaceAll("\u017f", "s").replaceAll("\u212a", "k").toLowerCase();
const firstWins: Pick = (members, wanted) => members.find(([name]) => name === wanted)?.[1];
const lastWins: Pick = (members, wanted) => members.findLast(([name]) => name === wanted)?.[1];
const caseInsensitive: Pick = (members, wanted) => members.findLast(([name]) => name.toLowerCase() === wanted)?.[1];
const foldInsensitive: Pick = (members, wanted) => members.findLast(([name]) => fold(name) === wanted)?.[1];
const nulTrimming: Pick = (members, wanted) => members.findLast(([name]) => name.split("\0")[0] === wanted)?.[1];

function reading(root: Value | null, pick: Pick): Reading | null {
  if (root === null || !("members" in root)) return null;
  const method = pick(root.members, "method");
  const params = pick(root.members, "params");
  const name =
    params !== undefined && "members" in params
      ? (pick(params.members, "name") ?? pick(params.members, "uri"))
      : undefined;
  const scalar = (value: Value | undefined) => (value !== undefined && "scalar" in value ? value.scalar : undefined);
  return { method: scalar(method), name: scalar(name) };
}

function strictUtf8(bytes: Buffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

const over = (pick: Pick, decode: (bytes: Buffer) => string | null = strictUtf8, options: Options = {}): Dialect => {
  return (bytes) => {
    const text = decode(bytes);
    return text === null ? null : reading(parse(text, options), pick);
  };
};

export const DIALECTS: Readonly<Record<string, Dialect>> = {
  "first wins": over(firstWins),
  "last wins": over(lastWins),
  "case-insensitive (Go)": over(caseInsensitive),
  "Unicode folding (Go)": over(foldInsensitive),
  "NUL ends a name": over(nulTrimming),
  comments: over(lastWins, strictUtf8, { comments: true }),
  "byte-order mark": over(lastWins, (bytes) => strictUtf8(bytes)?.replace(/^\ufeff/, "") ?? null),
  "lossy UTF-8": over(lastWins, (bytes) => bytes.toString("utf8")),
};
