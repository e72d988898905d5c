import type { Grant } from "../authz/grant.ts";
import { FieldReader, once } from "./protobuf.ts";

/** What Envoy must not be told, whoever asks for it: routing and framing are not ours to change. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  ...["host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "keep-alive"],
]);
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const OVERWRITE_IF_EXISTS_OR_ADD = 2;

/**
 * Reads the bytes of an answer as Envoy will, and says whether they are an allow with exactly the headers of this grant:
 * each set or removed once, none that is not ours to write (threat rows M1, M3, C22).
 * @throws {WireFault} for bytes that are no message
 */
export function isAllow(bytes: Buffer, granted: Grant): boolean {
  const reader = new FieldReader(bytes);
  let statuses = 0;
  let oks = 0;
  let metadata = 0;
  while (reader.next()) {
    if (reader.field === 1) {
      statuses += 1;
      if (intOf(reader) !== 0) return false;
    } else if (reader.field === 3) {
      oks += 1;
      if (!isGranted(reader, granted)) return false;
    } else if (reader.field === 4) {
      metadata += 1;
      reader.skip();
    } else return false;
  }
  return statuses === 1 && oks === 1 && metadata <= 1;
}

/**
 * Whether the bytes can only be a refusal (or a document that we answer ourselves): a status that is not 0, and an HTTP
 * answer whose status ends a request.
 * @throws {WireFault} for bytes that are no message
 */
export function isRefusal(bytes: Buffer): boolean {
  const reader = new FieldReader(bytes);
  let code = 0;
  let http = 0;
  let denials = 0;
  let seen = 0;
  while (reader.next()) {
    if (reader.field <= 4) seen = once(seen, reader.field);
    if (reader.field === 1) code = intOf(reader);
    else if (reader.field === 2) {
      denials += 1;
      http = httpOf(reader);
    } else if (reader.field === 4) reader.skip();
    else return false;
  }
  return code !== 0 && denials === 1 && http >= 200 && http < 600 && http !== 204;
}

/** Walks an OkHttpResponse beside the grant that it was made from; order counts, so that nothing stands twice. */
function isGranted(reader: FieldReader, { set, remove }: Grant): boolean {
  const expected = [...set];
  const outer = reader.enter();
  let sets = 0;
  let removals = 0;
  while (reader.next()) {
    if (reader.field === 2) {
      const [name, value] = expected[sets] ?? NOTHING;
      if (!isHeader(reader, name, value) || remove.includes(name)) return false;
      sets += 1;
    } else if (reader.field === 5) {
      if (!isRemoval(reader, remove, removals)) return false;
      removals += 1;
    } else if (reader.field === 6) reader.skip();
    else return false;
  }
  reader.leave(outer);
  return sets === expected.length && removals === remove.length;
}

const NOTHING: readonly [string, string] = ["", ""];

/** The name of this place in the list, and of no other. */
function isRemoval(reader: FieldReader, remove: readonly string[], place: number): boolean {
  const name = remove[place] ?? "";
  return reader.equals(name) && isOurs(name) && remove.indexOf(name) === place;
}

/** One HeaderValueOption that overwrites. */
function isHeader(reader: FieldReader, name: string, value: string): boolean {
  if (!isOurs(name) || !HEADER_VALUE.test(value)) return false;
  const outer = reader.enter();
  let named = false;
  let action = 0;
  let appends = true;
  let seen = 0;
  while (reader.next()) {
    if (reader.field <= 3) seen = once(seen, reader.field);
    if (reader.field === 1) named = isNameAndValue(reader, name, value);
    else if (reader.field === 2) appends = intOf(reader) !== 0;
    else if (reader.field === 3) action = reader.int32();
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
    if (reader.field <= 2) seen = once(seen, reader.field);
    if (reader.field === 1) named = reader.equals(name);
    else if (reader.field === 2) valued = reader.equals(value);
    else return false;
  }
  reader.leave(outer);
  return named && valued;
}

function isOurs(name: string): boolean {
  return HEADER_NAME.test(name) && !FORBIDDEN.has(name);
}

/** Field 1 of an embedded message: `code` of Status and HttpStatus, `value` of BoolValue. */
function intOf(reader: FieldReader): number {
  const outer = reader.enter();
  let value = 0;
  let seen = 0;
  while (reader.next()) {
    if (reader.field !== 1) reader.skip();
    else {
      seen = once(seen, 1);
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
    if (reader.field !== 1) reader.skip();
    else {
      seen = once(seen, 1);
      http = intOf(reader);
    }
  }
  reader.leave(outer);
  return http;
}
