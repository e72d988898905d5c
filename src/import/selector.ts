// Authorino's older conditions, `{selector, operator, value}` with a path of gjson, as Rego. Pure.
import { literal, type Term } from "./rego.ts";
import type { Translation } from "./cel.ts";
import type { Field } from "./source.ts";
import { isHeaders, placeAdvice } from "./vocabulary.ts";

const PARTS = ["selector", "operator", "value"];
const OPERATORS = ["eq", "neq", "incl", "excl", "matches"];

/** The segments of a path of plain names, with `\.` for a dot in one; null for anything else that gjson knows. */
export function segmentsOf(selector: string): readonly string[] | null {
  if (selector === "" || !/^(?:\\.|[A-Za-z0-9_\-:/.])+$/.test(selector)) return null;
  const segments = selector.split(/(?<!\\)\./).map((segment) => segment.replaceAll(/\\(.)/g, "$1"));
  return segments.some((segment) => segment === "" || /^\d+$/.test(segment)) ? null : segments;
}

/** @returns the term of a pattern: true, false, or undefined for what could not be mapped */
export function selectorTerm(pattern: Field, translation: Translation): Term {
  const { report, rules } = translation;
  const [selector = "", operator = "", value = ""] = PARTS.map((name) => pattern.get(name)?.text ?? "");
  const unmapped = (message: string) => {
    report.leftOut(pattern, message);
    return rules.unmapped(pattern.line);
  };
  if (!OPERATORS.includes(operator))
    return unmapped(`a pattern has a selector, an operator (${OPERATORS.join(", ")}) and a value, each a text`);
  if (typeof pattern.get("value")?.value !== "string") return unmapped("the value is no text: quote it");
  const segments = segmentsOf(selector);
  if (segments === null)
    return unmapped(`the selector ${selector} is more than a path of names: write it in CEL or Rego`);
  const place = placeTerm(segments, translation);
  if (place.fault !== undefined) return unmapped(place.fault);
  if (place.constant !== undefined)
    return comparedConstant(place.constant, operator, value) ?? unmapped(placeAdvice(segments));
  return compared(place.term, { operator, value: value }, translation);
}

interface Placed {
  readonly term: Term;
  readonly fault?: string;
  /** A value that every request has that policy is asked of. */
  readonly constant?: string;
}

/** Where a path of names stands here. */
function placeTerm(segments: readonly string[], { vocabulary, identity }: Translation): Placed {
  const chain = (base: Term, names: readonly string[]) =>
    names.reduce((of, name) => `cel.get(${of}, ${literal(name)})`, base);
  const path = segments.join(".");
  if (path === "request.method" || path === "context.request.http.method") return { term: "", constant: "POST" };
  if (segments[0] === "auth" && segments[1] === "identity") return { term: chain(identity, segments.slice(2)) };
  if (!isHeaders(segments.slice(0, -1))) return { term: "", fault: placeAdvice(segments) };
  const fault = vocabulary.header(segments.at(-1) ?? "");
  return fault === null ? { term: chain("headers", segments.slice(-1)) } : { term: "", fault };
}

/** Only what holds for POST is known to hold as it did: another method is another request. */
function comparedConstant(constant: string, operator: string, value: string): Term | null {
  return operator === "eq" && value === constant ? "true" : null;
}

/** gjson takes what is not there for an empty text, and one value for a list of it. */
function compared(place: Term, { operator, value }: { operator: string; value: string }, { rules }: Translation): Term {
  const found = rules.add([{ value: place, when: [] }]);
  const there = rules.add([{ value: "true", when: [`is_string(type_name(${found}))`] }]);
  const isList = operator === "incl" || operator === "excl";
  const read = rules.add([
    { value: isList ? `cel.list(${found})` : `cel.text(${found})`, when: [] },
    { value: isList ? "[]" : '""', when: [`not ${there}`] },
  ]);
  const functions: Readonly<Record<string, string>> = {
    eq: "same",
    neq: "differs",
    incl: "includes",
    excl: "excludes",
    matches: "matches",
  };
  return `cel.${functions[operator] ?? ""}(${read}, ${literal(value)})`;
}

/** The value at a path, null where there is none, as Authorino takes it; undefined for what could not be mapped. */
export function selectedValue(selector: Field, translation: Translation): Term {
  const segments = segmentsOf(selector.text ?? "");
  const place = segments === null ? null : placeTerm(segments, translation);
  if (place === null || place.fault !== undefined || place.constant !== undefined) {
    const why = place?.fault ?? `the selector ${selector.text ?? ""} is more than a path of names`;
    translation.report.leftOut(selector, `${why}: write it in CEL or Rego`);
    return translation.rules.unmapped(selector.line);
  }
  const { rules } = translation;
  const found = rules.add([{ value: place.term, when: [] }]);
  const there = rules.add([{ value: "true", when: [`is_string(type_name(${found}))`] }]);
  return rules.add([
    { value: found, when: [] },
    { value: "null", when: [`not ${there}`] },
  ]);
}

/** A path of names as CEL, for what is read as an expression; null for another selector. */
export function selectedPath(selector: string): string | null {
  const segments = segmentsOf(selector);
  if (segments === null) return null;
  return segments.map((segment, i) => (i === 0 ? segment : `[${JSON.stringify(segment)}]`)).join("");
}
