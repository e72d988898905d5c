// Reads maps and google.protobuf.Struct. Pure. What two readers could read differently is a fault: a key that comes twice, a value
// of two kinds; and, where all of it is read, a value of none and a number that JSON does not have.
// https://protobuf.dev/reference/protobuf/google.protobuf/#struct
import type { JsonObject, JsonValue } from "../json/types.ts";
import { once, WireFault, type FieldReader } from "./protobuf.ts";

/** Reads the field that the reader stands at. */
export type Read<T> = (reader: FieldReader) => T;

const MAX_DEPTH = 32;
const FIELDS = 1;
const KEY = 1;
const VALUE = 2;
const STRING_VALUE = 3;

/**
 * Reads one entry of a map into `entries`.
 * @param value how a value is read; without one it is null
 * @throws {WireFault} for a key that is there
 */
export function readEntry<T>(reader: FieldReader, entries: Map<string, T | null>, value: Read<T>): void {
  const outer = reader.enter();
  let [key, seen] = ["", 0];
  let found: T | null = null;
  while (reader.next()) {
    const { field } = reader;
    if (field !== KEY && field !== VALUE) reader.skip();
    else {
      seen = once(seen, field);
      if (field === KEY) key = reader.string();
      else found = value(reader);
    }
  }
  reader.leave(outer);
  if (entries.has(key)) throw new WireFault("a key comes twice in a map");
  entries.set(key, found);
}

/** The texts of a Struct by name; null for values of other kinds, which are not read. @throws {WireFault} */
export function readTexts(reader: FieldReader): Map<string, string | null> {
  return readFields(reader, readText);
}

/** A Struct, read whole. @throws {WireFault} also for one with more than 32 levels */
export const readStruct: Read<JsonObject> = struct(0);

function readFields<T>(reader: FieldReader, value: Read<T>): Map<string, T | null> {
  const entries = new Map<string, T | null>();
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === FIELDS) readEntry(reader, entries, value);
    else reader.skip();
  }
  reader.leave(outer);
  return entries;
}

/** The text of a Value. It is a oneof: with two members set, readers differ in which one they take. */
function readText(reader: FieldReader): string | null {
  const outer = reader.enter();
  let text: string | null = null;
  let members = 0;
  while (reader.next()) {
    members += 1;
    if (members > 1) throw new WireFault("two values in one");
    if (reader.field === STRING_VALUE) text = reader.string();
    else reader.skip();
  }
  reader.leave(outer);
  return text;
}

function struct(depth: number): Read<JsonObject> {
  return (reader) => {
    if (depth > MAX_DEPTH) throw new WireFault("metadata is nested too deeply");
    return Object.fromEntries(readFields(reader, value(depth + 1)));
  };
}

/** A Value: one of its kinds. */
function value(depth: number): Read<JsonValue> {
  const kinds: Readonly<Record<number, Read<JsonValue>>> = {
    1: (reader) => (reader.skip(), null),
    2: (reader) => finite(reader.double()),
    3: (reader) => reader.string(),
    4: (reader) => reader.int64() !== 0,
    5: struct(depth),
    6: list(depth),
  };
  return (reader) => {
    const outer = reader.enter();
    let found: JsonValue = null;
    let seen = 0;
    while (reader.next()) {
      const read = kinds[reader.field];
      if (read === undefined) throw new WireFault("a kind of value that does not exist");
      seen = once(seen, 1); // a oneof
      found = read(reader);
    }
    reader.leave(outer);
    if (seen === 0) throw new WireFault("a value without a kind");
    return found;
  };
}

function list(depth: number): Read<JsonValue> {
  return (reader) => {
    if (depth > MAX_DEPTH) throw new WireFault("metadata is nested too deeply");
    const values: JsonValue[] = [];
    const outer = reader.enter();
    while (reader.next()) {
      if (reader.field === 1) values.push(value(depth + 1)(reader));
      else reader.skip();
    }
    reader.leave(outer);
    return values;
  };
}

function finite(number: number): number {
  if (!Number.isFinite(number)) throw new WireFault("a number that JSON does not have");
  return number;
}
