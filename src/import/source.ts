// A YAML document with the line of every key: each read field is known, so that what nobody read can be named. Pure.
import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parse,
  parseAllDocuments,
  type Document,
  type Node,
  type Scalar,
} from "yaml";
import type { Place } from "./report.ts";

/** A source that cannot be read at all: the message says where and what to do. */
export class SourceError extends Error {}

const MAX_BYTES = 1024 * 1024;

/** What of a document was read: of a map or list its shape, so that each member is asked by itself, or all of it. */
interface Reading {
  readonly lines: LineCounter;
  readonly done: Map<object, "shape" | "all">;
}

/** Where a value hangs in its document: what is read of it is kept by that. */
interface Slot {
  readonly at: object;
  readonly node: Node | null;
}

/** A value of the source with its place. Whatever is not read in the form that it has stays unread, and is named at the end. */
export class Field implements Place {
  readonly key: string;
  readonly line: number;
  readonly #at: object;
  readonly #node: Node | null;
  readonly #reading: Reading;

  constructor(place: Place, { at, node }: Slot, reading: Reading) {
    this.key = place.key;
    this.line = place.line;
    this.#at = at;
    this.#node = node;
    this.#reading = reading;
  }

  /** The fields of a map, in their order; empty for anything else. */
  get entries(): readonly (readonly [string, Field])[] {
    if (!isMap(this.#node)) return [];
    this.#mark("shape");
    return this.#node.items.map((pair) => {
      const name = isScalar(pair.key) ? String(pair.key.value) : "?";
      const key = this.key === "" ? name : `${this.key}.${name}`;
      const slot = { at: pair, node: pair.value as Node | null };
      return [name, new Field({ key, line: this.#lineOf(pair.key as Node | null) }, slot, this.#reading)];
    });
  }

  /** The items of a list, empty for anything else. */
  get items(): readonly Field[] {
    if (!isSeq(this.#node)) return [];
    this.#mark("shape");
    return this.#node.items.map((item, i) => {
      const node = item as Node | null;
      const slot = { at: node ?? {}, node };
      return new Field({ key: `${this.key}[${i}]`, line: this.#lineOf(node) }, slot, this.#reading);
    });
  }

  /** Says that all of it is known, and named or without a meaning here. */
  take(): void {
    this.#mark("all");
  }

  /** Says so of those of its entries. */
  takeEach(...names: readonly string[]): void {
    for (const name of names) this.get(name)?.take();
  }

  get isUnread(): boolean {
    return !this.#reading.done.has(this.#at);
  }

  /** The places that nobody read in the form that they have. */
  get unread(): readonly Field[] {
    const how = this.#reading.done.get(this.#at);
    if (how === "all") return [];
    return how === undefined
      ? [this]
      : [...this.entries.map(([, field]) => field), ...this.items].flatMap((one) => one.unread);
  }

  #mark(how: "shape" | "all"): void {
    if (this.#reading.done.get(this.#at) !== "all") this.#reading.done.set(this.#at, how);
  }

  /** What it is, in words. */
  get form(): string {
    if (isMap(this.#node)) return "a map";
    if (isSeq(this.#node)) return "a list";
    const value = isScalar(this.#node) ? this.#node.value : null;
    if (value === null) return "nothing";
    return typeof value === "string" ? "text" : `a ${typeof value}`;
  }

  get isList(): boolean {
    return isSeq(this.#node);
  }

  get(name: string): Field | null {
    return this.entries.find(([found]) => found === name)?.[1] ?? null;
  }

  at(name: string, ...more: readonly string[]): Field | null {
    const found = this.get(name);
    const [next, ...rest] = more;
    return next === undefined ? found : (found?.at(next, ...rest) ?? null);
  }

  /** Text, null where the value is none. */
  get text(): string | null {
    if (!isScalar(this.#node) || typeof this.#node.value !== "string") return null;
    this.take();
    return this.#node.value;
  }

  /** The whole value; undefined for none. */
  get value(): unknown {
    this.take();
    if (isScalar(this.#node)) {
      const { type, source = "", value } = this.#node;
      return type === "PLAIN" && LETTER.test(source) ? undefined : value;
    }
    if (isSeq(this.#node)) return this.items.map(({ value }) => value);
    if (isMap(this.#node)) return Object.fromEntries(this.entries.map(([name, field]) => [name, field.value]));
    return undefined;
  }

  /** The line of a text's first line: a block stands below its key. */
  get firstLine(): number {
    return this.lineAt(0);
  }

  /** The line of a row of the text, from 0: quoted text has all its rows in one place. */
  lineAt(row: number): number {
    if (!isScalar(this.#node)) return this.line;
    const begin = this.#lineOf(this.#node);
    const isBlock = this.#node.type === "BLOCK_LITERAL" || this.#node.type === "BLOCK_FOLDED";
    return isBlock ? begin + 1 + row : begin;
  }

  /** Names every key that is not among the known ones, where there is more to say than that nobody reads it. @returns how many */
  only(known: readonly string[], name: (field: Field) => void): number {
    const others = this.entries.filter(([key]) => !known.includes(key));
    for (const [, field] of others) name(field);
    return others.length;
  }

  #lineOf(node: Node | null): number {
    const at = node?.range?.[0];
    return at === undefined ? this.line : this.#reading.lines.linePos(at).line;
  }
}

/** The documents of a file. @throws {SourceError} */
export function readDocuments(file: string, text: string): Field[] {
  if (Buffer.byteLength(text) > MAX_BYTES) throw new SourceError(`${file}: is larger than 1 MiB`);
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { uniqueKeys: true, lineCounter: lines });
  const all: readonly Document[] = Array.isArray(documents) ? (documents as Document[]) : [];
  return all.flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined)
      throw new SourceError(
        `${file}:${lines.linePos(error.pos[0]).line}: is not YAML: ${error.message.split("\n")[0]}`,
      );
    const { contents } = document;
    refuseUnclear(contents, (at, what) => {
      throw new SourceError(`${file}:${lines.linePos(at?.range?.[0] ?? 0).line}: ${what}`);
    });
    if (contents === null) return [];
    const line = lines.linePos(contents.range?.[0] ?? 0).line;
    return [new Field({ key: "", line }, { at: contents, node: contents }, { lines, done: new Map() })];
  });
}

type Fail = (at: Node | null, what: string) => never;

/** Aliases and merge keys put text where it does not stand, and what Kubernetes (YAML 1.1) reads otherwise would be another policy. */
function refuseUnclear(node: unknown, fail: Fail): void {
  if (isAlias(node)) fail(node, "a YAML alias is not read: write the value out");
  if (isNode(node) && node.tag !== undefined) fail(node, `the YAML tag ${node.tag} is not read: write the value out`);
  if (isScalar(node)) refuseOther(node, fail);
  if (isSeq(node)) for (const item of node.items) refuseUnclear(item, fail);
  if (!isMap(node)) return;
  for (const { key, value } of node.items) {
    refuseKey(key, fail);
    refuseUnclear(key, fail);
    refuseUnclear(value, fail);
  }
}

function refuseKey(key: unknown, fail: Fail): void {
  if (!isScalar(key) || typeof key.value !== "string")
    fail(key as Node | null, "a key that is no text: write it in quotes");
  else if (key.value === "<<") fail(key, "a YAML merge key is not read: write the value out");
}

/** True or false for some readers of YAML 1.1: a good name, and as a value none. */
const LETTER = /^[yYnN]$/;

/** `yes`, `on`, `010`, `1_000`: values of other kinds in YAML 1.1. Dates are text in both. */
function refuseOther(scalar: Scalar, fail: Fail): void {
  const { type, source = "", value } = scalar;
  if (type !== "PLAIN" || source.length > 64 || !/^[-+.\d~yYnNoOtTfF].*$/.test(source) || LETTER.test(source)) return;
  const [other] = parse(`- ${source}`, { version: "1.1" }) as readonly unknown[];
  if (!(other instanceof Date) && !Object.is(other, value))
    fail(
      scalar,
      `Kubernetes takes ${source} for another value, by YAML 1.1: put it into quotes, or write what is meant`,
    );
}
