// Reads protobuf messages as JSON, in the form in which Envoy dumps them: names in snake case, defaults left out. Pure.
// https://protobuf.dev/programming-guides/json/
import { isObject } from "../../json/object.ts";

/** A message, or an empty one in place of anything else. */
export type Fields = Readonly<Record<string, unknown>>;

const NONE: Fields = {};

export function fieldsOf(value: unknown): Fields {
  return isObject(value) ? value : NONE;
}

/** The value at a path of names; undefined where there is none. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let here: unknown = value;
  for (const name of path) here = fieldsOf(here)[name];
  return here;
}

export function listAt(value: unknown, ...path: readonly string[]): readonly Fields[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found.map(fieldsOf) : [];
}

export function textsAt(value: unknown, ...path: readonly string[]): readonly string[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found.filter((one) => typeof one === "string") : [];
}

/** Empty where there is none. */
export function textAt(value: unknown, ...path: readonly string[]): string {
  const found = at(value, ...path);
  return typeof found === "string" ? found : "";
}

/** True if the field is set; in JSON a wrapper is a bare value. */
export function hasAt(value: unknown, ...path: readonly string[]): boolean {
  return at(value, ...path) !== undefined && at(value, ...path) !== null;
}

export function isTrueAt(value: unknown, ...path: readonly string[]): boolean {
  return at(value, ...path) === true;
}

/** A number; 64-bit ones are texts. Null where there is none. */
export function numberAt(value: unknown, ...path: readonly string[]): number | null {
  const found = at(value, ...path);
  if (typeof found === "number") return found;
  return typeof found === "string" && /^-?\d+$/.test(found) ? Number(found) : null;
}

/** A duration in milliseconds; null where there is none. */
export function millisecondsAt(value: unknown, ...path: readonly string[]): number | null {
  const seconds = /^(-?\d+(?:\.\d+)?)s$/.exec(textAt(value, ...path))?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}

/** A percentage from 0 to 100; null where there is none. */
export function percentAt(value: unknown, ...path: readonly string[]): number | null {
  const fraction = at(value, ...path);
  if (fraction === undefined) return null;
  const parts = { TEN_THOUSAND: 10_000, MILLION: 1_000_000 }[textAt(fraction, "denominator")] ?? 100;
  return ((numberAt(fraction, "numerator") ?? 0) / parts) * 100;
}

/** A message of a type that is named beside it (`google.protobuf.Any`). */
export interface Typed {
  /** Full name of the type, without its host; empty where none is said. */
  readonly type: string;
  readonly fields: Fields;
}

/** Unpacks an Any, and a `TypedStruct` in it. */
export function typedOf(any: unknown): Typed {
  const type = afterSlash(textAt(any, "@type"));
  if (!/^(?:udpa\.type\.v1|xds\.type\.v3)\.TypedStruct$/.test(type)) return { type, fields: fieldsOf(any) };
  return { type: afterSlash(textAt(any, "type_url")), fields: fieldsOf(at(any, "value")) };
}

function afterSlash(url: string): string {
  return url.slice(url.lastIndexOf("/") + 1);
}
