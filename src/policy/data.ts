// Reads the author's `data.yaml` and `data.json` into one JSON text. Pure. The one reader of data, whoever compiles the
// rules: what readers of YAML 1.1 (yaml.org/spec/1.1) and YAML 1.2 (yaml.org/spec/1.2.2) take for two things is refused.
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  Schema,
  type ParsedNode,
  type Scalar,
  type YAMLMap,
} from "yaml";
import { isObject } from "../json/object.ts";
import { readJson } from "../json/strict-reader.ts";
import { PolicyError } from "./policy-error.ts";

/** A file of the author: its path below the policy folder, with "/" between the parts, and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

type Data = null | boolean | number | string | readonly Data[] | { readonly [key: string]: Data };
type DataObject = Readonly<Record<string, Data>>;

/** Of all files of YAML together: a MiB of it takes seconds, and up to a GiB of memory. JSON has the limit of the folder alone. */
export const MAX_YAML_BYTES = 4 * 1024 * 1024;
/** Objects and lists in each other, as of JSON. */
const MAX_DEPTH = 200;

/**
 * A file in a folder `a/b` stands at `data.a.b`, as with opa.
 * @returns JSON text of an object, its names in order: the same data is the same text
 * @throws {PolicyError} with file, line and cure
 */
export function readData(files: readonly SourceFile[]): string {
  let all: DataObject = {};
  checkYamlSize(files);
  for (const file of files) {
    if (!isData(file.path)) continue;
    const value = file.path.endsWith(".json") ? jsonOf(file) : new YamlReader(file).read();
    if (!isObject(value)) throw fault(file.path, 1, "data is an object: keys with values");
    const folders = file.path.split("/").slice(0, -1);
    const placed = folders.reduceRight<DataObject>((inner, name) => ({ [name]: inner }), value);
    all = merged(all, placed, { file: file.path, at: "data" });
  }
  return JSON.stringify(all, (_, value: Data) => (isObject(value) ? inOrder(value) : value));
}

function checkYamlSize(files: readonly SourceFile[]): void {
  let bytes = 0;
  for (const { path, text } of files) {
    if (!isData(path) || path.endsWith(".json")) continue;
    bytes += Buffer.byteLength(text);
    if (bytes <= MAX_YAML_BYTES) continue;
    const [has, limit] = [bytes, MAX_YAML_BYTES].map((size) => (size / 1024 / 1024).toFixed(1));
    throw fault(path, null, `with it there are ${has} MiB of YAML, and ${limit} MiB are read: write it as data.json`);
  }
}

export function isData(path: string): boolean {
  return /(?:^|\/)data\.(?:ya?ml|json)$/.test(path);
}

function fault(file: string, line: number | null, what: string): PolicyError {
  return new PolicyError("data_invalid", [`${file}${line === null ? "" : `:${line}`}: ${what}`]);
}

function inOrder(object: DataObject): DataObject {
  return Object.fromEntries(Object.entries(object).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function merged(into: DataObject, more: DataObject, place: { file: string; at: string }): DataObject {
  const all = new Map(Object.entries(into));
  for (const [key, value] of Object.entries(more)) {
    const there = all.get(key);
    const at = `${place.at}.${key}`;
    if (there === undefined) all.set(key, value);
    else if (isObject(there) && isObject(value)) all.set(key, merged(there, value, { ...place, at }));
    else throw fault(place.file, null, `${at} has a value in another file of data already; keep one`);
  }
  return Object.fromEntries(all);
}

const JSON_LIMITS = { maxDepth: MAX_DEPTH, maxMembers: Number.POSITIVE_INFINITY, anyNames: true, oneReading: true };

function jsonOf({ path, text }: SourceFile): Data {
  const bytes = Buffer.from(text);
  const read = readJson(bytes, JSON_LIMITS);
  if (read.ok) return read.value;
  throw fault(path, bytes.subarray(0, read.at).toString("latin1").split("\n").length, read.detail);
}

const YAML_1_2 = new Schema({ schema: "core" });
const YAML_1_1 = new Schema({ schema: "yaml-1.1", merge: false });
/** Numbers to some readers and texts to others, whatever the case of the letter. */
const OTHER_BASE = /^[-+]?0[box][0-9a-f_]+$/i;
/** A colon that ends a key in YAML 1.2, and is a part of it to some readers of YAML 1.1. */
const COLON_AT_INDICATOR = /^:[,[\]{}]/;
const TOO_DEEP = `more than ${MAX_DEPTH} lists and objects in each other`;
const QUOTE_IT = 'put it in quotes if it is text ("…")';

/**
 * Line breaks of YAML 1.1 that are none in 1.2, and what neither prints (YAML 1.2.2, 5.1); a byte-order mark may stand first.
 * A carriage return alone is a line break of both, which the library does not take for one: a comment would go on behind it.
 */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const UNPRINTABLE = /\r(?!\n)|[\0-\x08\v\f\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]|(?!^)\ufeff/;

/** The value of a plain (unquoted) scalar to a reader of that version. */
function plain(schema: Schema, source: string): unknown {
  for (const tag of schema.tags) {
    if (tag.collection !== undefined || tag.default !== true || tag.test?.test(source) !== true) continue;
    const resolved = tag.resolve(source, () => {}, {});
    return isScalar(resolved) ? resolved.value : resolved;
  }
  return source;
}

function unprintable(character: string): string {
  const code = character.charCodeAt(0).toString(16).padStart(4, "0");
  return `the character U+${code.toUpperCase()}, which not every reader takes for text: write "\\u${code}", in double quotes`;
}

class YamlReader {
  readonly #file: SourceFile;
  readonly #lines = new LineCounter();
  /** Of the value that is being read. */
  #depth = 0;

  constructor(file: SourceFile) {
    this.#file = file;
  }

  read(): Data {
    const { path, text } = this.#file;
    const odd = UNPRINTABLE.exec(text);
    if (odd !== null) throw fault(path, text.slice(0, odd.index).split("\n").length, unprintable(odd[0]));
    // Without a last line break the library takes a doubled or escaped quote for the closing one.
    const documents = parseAllDocuments(text.endsWith("\n") ? text : `${text}\n`, {
      lineCounter: this.#lines,
      prettyErrors: false,
      uniqueKeys: false, // quadratic there; looked at below
      keepSourceTokens: true,
      logLevel: "silent",
    });
    if (!Array.isArray(documents)) return null; // an empty text
    const [document, second] = documents;
    const [error] = documents.flatMap(({ errors }) => errors);
    if (error !== undefined)
      throw this.#fault(error.pos[0], /call stack/.test(error.message) ? TOO_DEEP : error.message);
    if (second !== undefined) throw this.#fault(second.range[0], "a second document begins here; keep one");
    if (document?.directives.yaml.explicit === true) throw this.#fault(0, "leave the %YAML line out");
    return this.#value(document?.contents ?? null);
  }

  #fault(offset: number, what: string): PolicyError {
    return fault(this.#file.path, this.#lines.linePos(offset).line || 1, what);
  }

  /** True if a node that ends there is the last of a file that does not end with a line break. */
  #isCutAt(end: number): boolean {
    const { text } = this.#file;
    return end >= text.length && !text.endsWith("\n");
  }

  #value(node: ParsedNode | null): Data {
    if (node === null) return null;
    const [at] = node.range;
    if (isAlias(node)) throw this.#fault(at, `the alias *${node.source}: write the value out`);
    if (node.anchor !== undefined) throw this.#fault(at, `the anchor &${node.anchor}: leave it out`);
    if (node.tag !== undefined) throw this.#fault(at, `the tag ${node.tag}: leave it out`);
    if (!isMap(node) && !isSeq(node)) return this.#scalar(node);
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw this.#fault(at, TOO_DEEP);
    const value = isMap(node) ? this.#object(node) : node.items.map((item) => this.#value(item));
    this.#depth -= 1;
    return value;
  }

  #object(map: YAMLMap.Parsed): Data {
    const entries = new Map<string, Data>();
    for (const pair of map.items) {
      const at = pair.key?.range[0] ?? map.range[0];
      const name = this.#name(pair, at);
      if (entries.has(name)) throw this.#fault(at, `the key ${name} comes twice; keep one`);
      entries.set(name, this.#value(pair.value));
    }
    return Object.fromEntries(entries);
  }

  #name({ key, srcToken }: YAMLMap.Parsed["items"][number], at: number): string {
    const isPlain = isScalar(key) && key.type === "PLAIN";
    if (isPlain && key.source === "<<") throw this.#fault(at, "the merge key <<: write the keys out");
    const name = this.#value(key);
    if (typeof name !== "string") throw this.#fault(at, `a key that is not text: ${QUOTE_IT}`);
    // The library loses what follows such a key in quotes.
    if (srcToken?.start.some(({ type }) => type === "explicit-key-ind") === true)
      throw this.#fault(at, `the question mark before the key ${name}: leave it out`);
    if (isPlain && COLON_AT_INDICATOR.test(this.#file.text.slice(key.range[1], key.range[1] + 2)))
      throw this.#fault(at, `write a space after the colon of ${name}: it could be a part of the key`);
    return name;
  }

  #scalar(scalar: Scalar.Parsed): Data {
    if (scalar.type !== "PLAIN") return this.#text(scalar);
    const { source } = scalar;
    const [at] = scalar.range;
    const newer = plain(YAML_1_2, source);
    if (!Object.is(newer, plain(YAML_1_1, source)) || OTHER_BASE.test(source))
      throw this.#fault(at, `${source} is one thing in YAML 1.1 and another in YAML 1.2: ${QUOTE_IT}`);
    const asJson = typeof newer === "number" ? readJson(Buffer.from(source), JSON_LIMITS) : null;
    if (asJson?.ok === false)
      throw this.#fault(at, `${source} (${asJson.detail}): write the number as in JSON, or ${QUOTE_IT}`);
    return newer as Data;
  }

  /** What stands in quotes or in a block. */
  #text({ value, type, range: [at, end] }: Scalar.Parsed): string {
    if (typeof value !== "string" || !value.isWellFormed())
      throw this.#fault(at, "half of a surrogate pair: write the character itself");
    // A block ends with the line break of its last line, and that may have none.
    if (type?.startsWith("BLOCK") === true && value.endsWith("\n") && this.#isCutAt(end))
      throw this.#fault(at, "end the file with a line break: whether this text ends with one is not clear");
    return value;
  }
}
