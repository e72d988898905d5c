// Reads the body of an access evaluation request: one evaluation or many, with the defaults merged. Pure.
// https://openid.net/specs/authorization-api-1_0.html
import { pass, refuse, type Refused, type Step } from "../authz/step.ts";
import { isObject } from "../json/object.ts";
import { readJson } from "../json/strict-reader.ts";
import type { JsonObject, JsonValue } from "../json/types.ts";

export type Semantic = "execute_all" | "deny_on_first_deny" | "permit_on_first_permit";

/** One evaluation, as it was asked: its members are not read yet. */
export type Evaluation = Readonly<Record<Part, JsonValue | undefined>>;

export interface EvaluationsAsked {
  readonly evaluations: readonly Evaluation[];
  readonly semantic: Semantic;
  /** True for one that is answered alone, not in a list. */
  readonly isSingle: boolean;
}

type Part = "subject" | "action" | "resource" | "context";

export const MAX_EVALUATIONS = 256;
const SEMANTICS: readonly JsonValue[] = ["execute_all", "deny_on_first_deny", "permit_on_first_permit"];
const LIMITS = { maxDepth: 64, maxMembers: 10_000, oneReading: true };

/** @param isMany false at the endpoint of one evaluation, where a list of them has no meaning */
export function readEvaluations(bytes: Uint8Array, isMany: boolean): Step<EvaluationsAsked> {
  const read = readJson(bytes, LIMITS);
  if (!read.ok) return malformed("body_malformed", read.detail);
  if (!isObject(read.value)) return malformed("body_malformed", "the body is not an object");
  const { evaluations: listed } = read.value;
  if (listed === undefined || (Array.isArray(listed) && listed.length === 0 && isMany))
    return pass({ evaluations: [partsOf(read.value)], semantic: "execute_all", isSingle: true });
  if (!isMany) return malformed("params_invalid", "evaluations are for /access/v1/evaluations");
  if (!Array.isArray(listed)) return malformed("params_invalid", "evaluations is not a list");
  const all = listed as readonly JsonValue[];
  if (all.length > MAX_EVALUATIONS)
    return malformed("body_too_large", `at most ${MAX_EVALUATIONS} evaluations are taken at a time`);
  if (!all.every(isObject)) return malformed("params_invalid", "an evaluation is not an object");
  const semantic = semanticOf(read.value["options"]);
  if (semantic === null) return malformed("params_invalid", "options.evaluations_semantic is none of the three");
  const defaults = partsOf(read.value);
  const evaluations = all.map((each) => ({ ...defaults, ...definedOf(partsOf(each)) }));
  return pass({ evaluations, semantic, isSingle: false });
}

/** Refuses what its sender has written. It is told: it is its own message. */
export function malformed(reason: "body_malformed" | "params_invalid" | "body_too_large", about: string): Refused {
  return { ...refuse(reason, about), about };
}

function partsOf({ subject, action, resource, context }: JsonObject): Evaluation {
  return { subject, action, resource, context };
}

/** A whole member stands in for the default, and is not merged with it. */
function definedOf(parts: Evaluation): Partial<Evaluation> {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
}

function semanticOf(options: JsonValue | undefined): Semantic | null {
  if (options === undefined) return "execute_all";
  if (!isObject(options)) return null;
  const semantic = options["evaluations_semantic"] ?? "execute_all";
  return SEMANTICS.includes(semantic) ? (semantic as Semantic) : null;
}
