// A YAML document with the line of every key: each read field is known, so that what nobody read can be named. Pure.
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Document, type Node } from "yaml";
import type { Place, Report } from "./report.ts";

/** A source that cannot be read at all: the message says where and what to do. */
export class SourceError extends Error {}

const MAX_BYTES = 1024 * 1024;

/** A value of the source with its place. */
export class Field implements Place {
  readonly key: string;
  readonly line: number;
  readonly #node: Node | null;
  readonly #lines: LineCounter;

  constructor(place: Place, node: Node | null, lines: LineCounter) {
    this.key = place.key;
    this.line = place.line;
    this.#node = node;
    this.#lines = lines;
  }

  /** The fields of a map, in their order; empty for anything else. */
  get entries(): readonly (readonly [string, Field])[] {
    if (!isMap(this.#node)) return [];
    return this.#node.items.map(({ key, value }) => {
      const name = isScalar(key) ? String(key.value) : "?";
      const at = this.key === "" ? name : `${this.key}.${name}`;
      return [name, new Field({ key: at, line: this.#lineOf(key as Node | null) }, value as Node | null, this.#lines)];
    });
  }

  /** The items of a list, empty for anything else. */
  get items(): readonly Field[] {
    if (!isSeq(this.#node)) return [];
    return this.#node.items.map((item, i) => {
      const node = item as Node | null;
      return new Field({ key: `${this.key}[${i}]`, line: this.#lineOf(node) }, node, this.#lines);
    });
  }

  get isMap(): boolean {
    return isMap(this.#node);
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
    return isScalar(this.#node) && typeof this.#node.value === "string" ? this.#node.value : null;
  }

  /** The whole value; undefined for none. */
  get value(): unknown {
    if (isScalar(this.#node)) return this.#node.value;
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

  /** Names every key that is not among the known ones. */
  only(known: readonly string[], report: Report, advice = "is not known here: take it out, or map it by hand"): void {
    for (const [name, field] of this.entries) if (!known.includes(name)) report.unmapped(field, advice);
  }

  #lineOf(node: Node | null): number {
    const at = node?.range?.[0];
    return at === undefined ? this.line : this.#lines.linePos(at).line;
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
    refuseReferences(file, document.contents, lines);
    if (document.contents === null) return [];
    const begin = document.contents.range?.[0] ?? 0;
    return [new Field({ key: "", line: lines.linePos(begin).line }, document.contents, lines)];
  });
}

/** Aliases and merge keys put text where it does not stand: a line could not be named. */
function refuseReferences(file: string, node: unknown, lines: LineCounter): void {
  const fail = (at: Node | null, what: string) => {
    const line = lines.linePos(at?.range?.[0] ?? 0).line;
    throw new SourceError(`${file}:${line}: ${what}: write the value out`);
  };
  if (isAlias(node)) fail(node, "a YAML alias is not read");
  if (isSeq(node)) for (const item of node.items) refuseReferences(file, item, lines);
  if (!isMap(node)) return;
  for (const { key, value } of node.items) {
    if (!isScalar(key) || typeof key.value !== "string") fail(key as Node | null, "a key that is no text");
    if (isScalar(key) && key.value === "<<") fail(key, "a YAML merge key is not read");
    refuseReferences(file, value, lines);
  }
}
