// Places in a JSON text that are looked at, or edited, while it passes (rewriter.ts). Pure.
import { foldName } from "./strict-name.ts";
import { readString } from "./strict-string.ts";

/** What is done at one place. A place without a key of these is passed on as it is. */
export interface Place {
  /**
   * The places of an object's members, by folded names ({@link membersOf}): tolerant readers take a member of another case
   * for the same. Such an object has no name twice.
   */
  readonly members?: ReadonlyMap<string, Place>;
  /** The place of each item of an array. */
  readonly items?: Place;
  /** Names that the object may have; any other is a fault. */
  readonly only?: ReadonlySet<string>;
  /** True if another value than an object is a fault. */
  readonly mustBeObject?: boolean;
  /** Receives the text of a string, number or word, and returns what goes on in its stead; null for the same bytes. */
  readonly scalar?: (text: Buffer) => string | Buffer | null;
  /** Called where an array or an object begins in the place of a scalar. */
  readonly noScalar?: () => void;
  /** Called before an object ends; returns members to add, as JSON text without the comma before it, or "". */
  readonly close?: (names: ReadonlySet<string>) => string;
}

/** Changes the texts at one place. */
export interface TextRule {
  /** Names of members from the outermost object on; `*` for each item of an array. */
  readonly path: readonly string[];
  /** Other values than strings pass unchanged. */
  readonly map: (text: string) => string;
}

export function membersOf(places: Readonly<Record<string, Place>>): ReadonlyMap<string, Place> {
  return new Map(Object.entries(places).map(([name, place]) => [foldName(name), place]));
}

/** A place with the rules below it. */
export function withRules(place: Place, rules: readonly TextRule[]): Place {
  return rules.reduce((into, { path, map }) => withRule(into, path, map), place);
}

function withRule(place: Place, path: readonly string[], map: TextRule["map"]): Place {
  const [step, ...rest] = path;
  if (step === undefined) return { ...place, scalar: (text) => mapped(text, map) };
  if (step === "*") return { ...place, items: withRule(place.items ?? {}, rest, map) };
  const name = foldName(step);
  const inner = withRule(place.members?.get(name) ?? {}, rest, map);
  return { ...place, members: new Map(place.members).set(name, inner) };
}

const QUOTE = 0x22;

function mapped(literal: Buffer, map: TextRule["map"]): string | null {
  if (literal[0] !== QUOTE) return null;
  const text = readString({ text: literal, at: 0, escaped: false });
  const changed = map(text);
  return changed === text ? null : JSON.stringify(changed);
}
