// Compares what a reader sees of a case with what policy sees. Pure.
import type { Case } from "./cases.ts";
import { comparableDecodedPath, comparableUri } from "./policy-view.ts";
import { WIRE_JSON, type ReaderSpec, type View } from "./reader-child.ts";

export interface Difference {
  readonly reader: string;
  readonly view: string;
  readonly kind: Case["kind"];
  /** What of it differs, in a word or two: differences of one key are taken for one kind. */
  readonly what: string;
  readonly policy: string;
  readonly read: string;
}

export function viewsFor(spec: ReaderSpec, { wire }: Pick<Case, "wire">): readonly View[] {
  return spec.views[wire === WIRE_JSON ? "json" : "uri"];
}

/** Null where they agree. */
export function differenceOf(
  spec: ReaderSpec,
  found: Case,
  { view, form }: { view: View; form: string },
): Difference | null {
  const policy = found.forms[view.form] ?? "";
  const read = comparable(view, form);
  if (policy === read) return null;
  const what = found.wire === WIRE_JSON ? whatOfJson(policy, read) : whatOfUri(policy, read);
  return { reader: spec.name, view: view.name, kind: found.kind, what, policy, read };
}

/** Whether nothing differs but fractions, each by one unit in the last place. */
export function areNeighbours({ policy, read }: Pick<Difference, "policy" | "read">): boolean {
  const [ours, theirs] = [policy.split(NUMBER), read.split(NUMBER)];
  return ours.length === theirs.length && ours.every((part, i) => isSame(part, theirs[i] ?? "", i % 2 === 1));
}

const NUMBER = /#([^;]*);/;

function isSame(ours: string, theirs: string, isNumber: boolean): boolean {
  if (ours === theirs) return true;
  const [a, b] = [Number(ours), Number(theirs)];
  return isNumber && !Number.isInteger(a) && Math.abs(a - b) <= Number.EPSILON * Math.abs(a);
}

function comparable({ form }: View, text: string): string {
  if (form === "uri") return comparableUri(text);
  return form === "path" ? comparableDecodedPath(text) : text;
}

function whatOfJson(policy: string, read: string): string {
  let at = 0;
  while (at < policy.length && policy[at] === read[at]) at += 1;
  const number = policy.lastIndexOf("#", at);
  if (number !== -1 && policy.indexOf(";", number) >= at) return `number ${sizeOfNumber(policy, read, number)}`;
  return policy.length > read.length ? "less is there" : "a name or text";
}

/** A double that is another by its last digit is the reader's rounding; all else is a value that we rounded. */
function sizeOfNumber(policy: string, read: string, at: number): string {
  const value = (text: string) => Number(text.slice(at + 1, text.indexOf(";", at)));
  const [ours, theirs] = [value(policy), value(read)];
  return ours === theirs ? "beyond a double" : "another double";
}

const URI_PARTS = ["scheme", "authority", "path", "query", "fragment"];

function whatOfUri(policy: string, read: string): string {
  const [ours, theirs] = [policy.split("\n"), read.split("\n")];
  const differing = URI_PARTS.filter((_, i) => ours[i] !== theirs[i]);
  return ours.length === 1 ? "decoded path" : differing.join(" and ");
}
