// Reads an encoded CheckResponse before it leaves, and says whether it is what it was made of (threat model: M1, M3, C22).
// Pure. Written apart from the encoder, with field numbers of its own: it would repeat the encoder's faults otherwise.
import type { Grant } from "../authz/grant.ts";
import { FieldReader, once } from "./protobuf.ts";

/** Headers that no response may set or remove: they change routing or framing. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  ...["host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "keep-alive"],
]);
const VALID_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const VALID_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
/** HeaderValueOption.HeaderAppendAction. */
const OVERWRITE_IF_EXISTS_OR_ADD = 2;

/** Field numbers by message, as in protos/. */
const CHECK_RESPONSE = { status: 1, deniedResponse: 2, okResponse: 3, dynamicMetadata: 4 };
const DENIED = { status: 1 };
const OK = { headers: 2, headersToRemove: 5, responseHeadersToAdd: 6, queryToSet: 7, queryToRemove: 8 };
const HEADER_OPTION = { header: 1, append: 2, appendAction: 3 };
const HEADER_VALUE = { key: 1, value: 2 };
/** `code` of Status and HttpStatus, `value` of BoolValue. */
const ONLY_FIELD = 1;

/**
 * True if the bytes are an allow with exactly the headers of this grant: each set or removed once, none of the forbidden.
 * @throws {WireFault} for bytes that are no message
 */
export function isAllow(bytes: Buffer, granted: Grant): boolean {
  const reader = new FieldReader(bytes);
  let statuses = 0;
  let oks = 0;
  let metadata = 0;
  while (reader.next()) {
    if (reader.field === CHECK_RESPONSE.status) {
      statuses += 1;
      if (intOf(reader) !== 0) return false;
    } else if (reader.field === CHECK_RESPONSE.okResponse) {
      oks += 1;
      if (!isGranted(reader, granted)) return false;
    } else if (reader.field === CHECK_RESPONSE.dynamicMetadata) {
      metadata += 1;
      reader.skip();
    } else return false;
  }
  return statuses === 1 && oks === 1 && metadata <= 1;
}

/**
 * True if the bytes are a refusal, or a public document: a status other than 0, and an HTTP response whose status is final.
 * @throws {WireFault} for bytes that are no message
 */
export function isRefusal(bytes: Buffer): boolean {
  const reader = new FieldReader(bytes);
  let code = 0;
  let http = 0;
  let denials = 0;
  let seen = 0;
  while (reader.next()) {
    if (reader.field <= CHECK_RESPONSE.dynamicMetadata) seen = once(seen, reader.field);
    if (reader.field === CHECK_RESPONSE.status) code = intOf(reader);
    else if (reader.field === CHECK_RESPONSE.deniedResponse) {
      denials += 1;
      http = httpOf(reader);
    } else if (reader.field === CHECK_RESPONSE.dynamicMetadata) reader.skip();
    else return false;
  }
  return code !== 0 && denials === 1 && http >= 200 && http < 600 && http !== 204;
}

/** Walks an OkHttpResponse and its grant side by side, each list in its order: so nothing can come twice. */
function isGranted(reader: FieldReader, { set, remove, shared, query }: Grant): boolean {
  const headers = new Headers(set, remove);
  const removals = new Removals(remove, shared);
  const changes = new Changes(query);
  const outer = reader.enter();
  while (reader.next()) {
    const { field } = reader;
    if (field === OK.responseHeadersToAdd) reader.skip();
    else {
      const list = field === OK.headers ? headers : field === OK.headersToRemove ? removals : changes;
      if (!list.next(reader)) return false;
    }
  }
  reader.leave(outer);
  if (headers.count !== set.size || removals.count !== remove.length || !changes.areAll) return false;
  removals.keep(reader.bytes);
  return true;
}

/** The headers that a grant sets, in their order. */
class Headers {
  readonly #rest: Iterator<readonly [string, string], undefined>;
  readonly #remove: readonly string[];
  /** How many were read. */
  count = 0;

  constructor(set: ReadonlyMap<string, string>, remove: readonly string[]) {
    this.#rest = set.entries();
    this.#remove = remove;
  }

  /** True if the reader is at the next header, which is not removed as well. */
  next(reader: FieldReader): boolean {
    this.count += 1;
    const next = this.#rest.next();
    return next.done !== true && !this.#remove.includes(next.value[0]) && isHeader(reader, ...next.value);
  }
}

/** The changes of the query, each list in its order. */
class Changes {
  readonly #query: Grant["query"];
  #set = 0;
  #remove = 0;

  constructor(query: Grant["query"]) {
    this.#query = query;
  }

  /** True if none is missing. */
  get areAll(): boolean {
    return this.#set === (this.#query?.set.length ?? 0) && this.#remove === (this.#query?.remove.length ?? 0);
  }

  /** True if the reader is at the next change. */
  next(reader: FieldReader): boolean {
    if (reader.field === OK.queryToSet) {
      const change = this.#query?.set[this.#set];
      this.#set += 1;
      return change !== undefined && isNameAndValue(reader, ...change);
    }
    if (reader.field !== OK.queryToRemove) return false;
    const name = this.#query?.remove[this.#remove];
    this.#remove += 1;
    return name !== undefined && reader.equals(name);
  }
}

/** By a list of names that many grants remove: the bytes of its fields behind the first tag, which were read name by name. */
const READ = new WeakMap<readonly string[], Buffer>();

/** The names that a grant removes, in their order. */
class Removals {
  readonly #remove: readonly string[];
  readonly #shared: readonly string[];
  #start = 0;
  /** Behind the last name that was read. */
  #at = 0;
  /** Behind the last shared one, where nothing else stands among them. */
  #end = 0;
  #isRun = true;
  /** How many were read. */
  count = 0;

  constructor(remove: readonly string[], shared: readonly string[]) {
    this.#remove = remove;
    this.#shared = shared.every((name, i) => name === remove[i]) ? shared : NO_NAMES;
  }

  /** True if the reader is at the next name, or at the bytes of all shared ones. */
  next(reader: FieldReader): boolean {
    if (this.count === 0) {
      const known = READ.get(this.#shared);
      if (known !== undefined && reader.takes(known)) {
        this.count = this.#shared.length;
        return true;
      }
      this.#start = reader.at;
    } else if (reader.at !== this.#at + TAG_BYTES) this.#isRun = false;
    if (!isRemoval(reader, this.#remove, this.count)) return false;
    this.count += 1;
    this.#at = reader.at;
    if (this.count === this.#shared.length && this.#isRun) this.#end = reader.at;
    return true;
  }

  /** For the next response, where all of this one is as it must be. */
  keep(bytes: Buffer): void {
    if (this.#end > this.#start && Object.isFrozen(this.#shared))
      READ.set(this.#shared, Buffer.from(bytes.subarray(this.#start, this.#end)));
  }
}

const NO_NAMES: readonly string[] = [];
/** Of a field whose number is below 16. */
const TAG_BYTES = 1;

/** True for the name at this index of the list, if it stands at no other index. */
function isRemoval(reader: FieldReader, remove: readonly string[], place: number): boolean {
  const name = remove[place];
  return name !== undefined && reader.equals(name) && isOurs(name) && remove.indexOf(name) === place;
}

/** True for a HeaderValueOption that overwrites. */
function isHeader(reader: FieldReader, name: string, value: string): boolean {
  if (!isOurs(name) || !VALID_VALUE.test(value)) return false;
  const outer = reader.enter();
  let named = false;
  let action = 0;
  let appends = true;
  let seen = 0;
  while (reader.next()) {
    if (reader.field <= HEADER_OPTION.appendAction) seen = once(seen, reader.field);
    if (reader.field === HEADER_OPTION.header) named = isNameAndValue(reader, name, value);
    else if (reader.field === HEADER_OPTION.append) appends = intOf(reader) !== 0;
    else if (reader.field === HEADER_OPTION.appendAction) action = reader.int32();
    else return false;
  }
  reader.leave(outer);
  return named && !appends && action === OVERWRITE_IF_EXISTS_OR_ADD;
}

function isNameAndValue(reader: FieldReader, name: string, value: string): boolean {
  const outer = reader.enter();
  let named = false;
  let valued = false;
  let seen = 0;
  while (reader.next()) {
    if (reader.field <= HEADER_VALUE.value) seen = once(seen, reader.field);
    if (reader.field === HEADER_VALUE.key) named = reader.equals(name);
    else if (reader.field === HEADER_VALUE.value) valued = reader.equals(value);
    else return false;
  }
  reader.leave(outer);
  return named && valued;
}

function isOurs(name: string): boolean {
  return VALID_NAME.test(name) && !FORBIDDEN.has(name);
}

/** The one field of an embedded Status, HttpStatus or BoolValue; 0 without it. */
function intOf(reader: FieldReader): number {
  const outer = reader.enter();
  let value = 0;
  let seen = 0;
  while (reader.next()) {
    if (reader.field !== ONLY_FIELD) reader.skip();
    else {
      seen = once(seen, ONLY_FIELD);
      value = reader.int32();
    }
  }
  reader.leave(outer);
  return value;
}

function httpOf(reader: FieldReader): number {
  const outer = reader.enter();
  let http = 0;
  let seen = 0;
  while (reader.next()) {
    if (reader.field !== DENIED.status) reader.skip();
    else {
      seen = once(seen, DENIED.status);
      http = intOf(reader);
    }
  }
  reader.leave(outer);
  return http;
}
