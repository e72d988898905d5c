// `when`, `patterns` and `patternMatching` of an AuthPolicy: lists of conditions that all must hold. Pure.
import { celTerm, type Translation } from "./cel.ts";
import { allOf, anyOf, type Term } from "./rego.ts";
import { selectorTerm } from "./selector.ts";
import type { Field } from "./source.ts";

/** A translation that knows the named patterns of its policy. */
export interface ConditionContext extends Translation {
  /** `spec.patterns`: lists of `{selector, operator, value}` by name. */
  readonly patterns: Field | null;
}

/** @returns true where all hold, false where one does not, undefined where one cannot be told */
export function conditionsTerm(list: Field, context: ConditionContext): Term {
  if (!list.isList) {
    context.report.leftOut(list, "is no list of conditions");
    return context.rules.unmapped(list.line);
  }
  return allOf(
    context.rules,
    list.items.map((item) => conditionTerm(item, context)),
  );
}

function conditionTerm(item: Field, context: ConditionContext): Term {
  if (item.get("selector") !== null) return selectorTerm(item, context);
  const [first, ...others] = item.entries;
  const term = first === undefined || others.length > 0 ? null : singleTerm(...first, context);
  if (term !== null) return term;
  context.report.leftOut(
    item,
    "is no condition that is known: predicate, selector with operator and value, patternRef, all or any",
  );
  return context.rules.unmapped(item.line);
}

/** A condition of one key; null for an unknown one. */
function singleTerm(name: string, field: Field, context: ConditionContext): Term | null {
  const { text } = field;
  if (name === "predicate" && text !== null) return celTerm({ text, line: field.firstLine, key: field.key }, context);
  if (name === "patternRef" && text !== null) return namedTerm(field, text, context);
  // Of no condition at all, nobody can say whether it holds.
  if (field.items.length === 0) return null;
  if (name === "all") return conditionsTerm(field, context);
  if (name !== "any") return null;
  return anyOf(
    context.rules,
    field.items.map((one) => conditionTerm(one, context)),
  );
}

function namedTerm(reference: Field, name: string, context: ConditionContext): Term {
  const named = context.patterns?.get(name) ?? null;
  const list = named?.get("allOf") ?? named;
  if (list !== null && list.items.length > 0) return conditionsTerm(list, context);
  if (named !== null) context.report.leftOut(named, `holds no conditions, and ${reference.key} names it`);
  context.report.leftOut(reference, `there is no pattern ${name} with conditions in this policy`);
  return context.rules.unmapped(reference.line);
}
