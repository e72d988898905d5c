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
  try {
    return new TolerantParser(text, options).parse();
  } catch {
    return null;
  }
}

class TolerantParser {
  readonly #text: string;
  readonly #options: Options;
  #at = 0;

  constructor(text: string, options: Options) {
    this.#text = text;
    this.#options = options;
  }

  /** Null when something follows the value. @throws {SyntaxError} */
  parse(): Value | null {
    const result = this.#value(0);
    this.#space();
    return this.#at === this.#text.length ? result : null;
  }

  #value(depth: number): Value {
    if (depth > 500) fail();
    this.#space();
    const first = this.#text[this.#at];
    if (first === "{") return { members: this.#list("}", () => this.#member(depth)) };
    if (first === "[") return { items: this.#list("]", () => this.#value(depth + 1)) };
    if (first === '"') return { scalar: this.#string() };
    return { scalar: JSON.parse(this.#match(/-?[0-9][0-9.eE+-]*|true|false|null/y)) as unknown };
  }

  #member(depth: number): readonly [string, Value] {
    this.#space();
    const name = this.#string();
    this.#space();
    if (this.#text[this.#at] !== ":") fail();
    this.#at += 1;
    return [name, this.#value(depth + 1)];
  }

  #list<T>(end: string, item: () => T): T[] {
    this.#at += 1;
    const found: T[] = [];
    this.#space();
    while (this.#text[this.#at] !== end) {
      found.push(item());
      this.#space();
      if (this.#text[this.#at] === ",") this.#at += 1;
      else if (this.#text[this.#at] !== end) fail();
      this.#space();
    }
    this.#at += 1;
    return found;
  }

  #string(): string {
    return JSON.parse(this.#match(/"(?:[^"\\\n]|\\.)*"/sy)) as string;
  }

  /** What stands here, read over. @param pattern sticky */
  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? fail();
    this.#at += found.length;
    return found;
  }

  #space(): void {
    const text = this.#text;
    for (;;) {
      while (/[ \t\r\n]/.test(text[this.#at] ?? "")) this.#at += 1;
      if (this.#options.comments === true && text.startsWith("//", this.#at))
        this.#at = (text.indexOf("\n", this.#at) + 1 || text.length + 1) - 1;
      else if (this.#options.comments === true && text.startsWith("/*", this.#at))
        this.#at = text.indexOf("*/", this.#at) === -1 ? fail() : text.indexOf("*/", this.#at) + 2;
      else return;
    }
  }
}

function fail(): never {
  throw new SyntaxError("model");
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
