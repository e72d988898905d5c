// Asks an evaluator, and takes only a whole, well-formed answer: anything else is a refusal. Pure but for the evaluator.
import { pass, refuse, type Step } from "../authz/step.ts";
import type { CheckFacts } from "../authz/facts.ts";
import type { PolicyInput, Decision, StepUp, Visible } from "../authz/types.ts";
import type { Entrypoint } from "./entrypoints.ts";
import type { Evaluator } from "./evaluator.ts";
import { faultKind, type ArgumentKind } from "./pattern-fault.ts";
import { isObject } from "../json/object.ts";

export const MAX_SCOPES = 64;
/** Characters of the author's reason that reach the audit line. */
const MAX_NOTE = 500;
/** Names of what decided, in the audit line. */
const MAX_LABELS = 16;
const LABEL = /^[\w.:/ -]{1,64}$/;
/** In place of a text that is not the author's own. */
const COMPUTED = "(computed)";
/** RFC 6749 §3.3: what a scope may be made of; it goes into a header. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;

/** Asks policy about one operation. Only a whole, well-formed answer with `allow === true` allows (E01–E03). */
export function decide(evaluator: Evaluator, input: PolicyInput, check?: CheckFacts): Step<Decision> {
  const result = evaluate([evaluator, "mcp_authz/decision", input], check);
  if (!result.ok) return result;
  if (!isDecision(result.value)) return refuse("policy_unavailable", "the decision is malformed");
  const { allow, scope_insufficient: insufficient, required_scopes: scopes } = result.value;
  const said = { revision: evaluator.revision, ...saidOf(evaluator, result.value) };
  if (allow) return pass({ allow: true, ...said });
  const stepUp = stepUpOf(result.value);
  return pass({ allow: false, ...said, requiredScopes: insufficient ? scopes.toSorted() : null, stepUp });
}

/** The author's words, for the audit line: what a rule computed may hold a claim or an argument of the caller. */
function saidOf(
  evaluator: Evaluator,
  { reason, labels = [] }: RawDecision,
): Pick<Decision, "note" | "computed" | "labels"> {
  const isSafe = (text: string) => evaluator.isAuthors(text);
  const names = labels.map((label) => (LABEL.test(label) && isSafe(label) ? label : COMPUTED));
  const given = names.length === 0 ? {} : { labels: [...new Set(names)].toSorted().slice(0, MAX_LABELS) };
  if (reason === null || isSafe(reason)) return { note: reason?.slice(0, MAX_NOTE) ?? null, ...given };
  return { note: COMPUTED, computed: reason.slice(0, MAX_NOTE), ...given };
}

/** Asks policy what the caller may see. WASM gives sets in no order, so everything is sorted here. */
export function visible(evaluator: Evaluator, input: PolicyInput, check?: CheckFacts): Step<Visible> {
  const result = evaluate([evaluator, "mcp_authz/visible", input], check);
  if (!result.ok) return result;
  if (!isVisible(result.value)) return refuse("policy_unavailable", "the list is malformed");
  const { tools, prompts, resources } = result.value;
  return pass({ tools: sorted(tools), prompts: sorted(prompts), resources: sorted(resources) });
}

/** The input with which policy is asked once for each of these servers. */
export interface ListQuestion {
  readonly input: PolicyInput;
  readonly servers: readonly string[];
}

/**
 * The same for all servers, asked server by server: a large catalogue in one evaluation would keep every other request
 * waiting, and look like a policy that runs away.
 * @param ask in a turn of its own
 */
export async function visibleByServer(
  ask: (input: PolicyInput) => Promise<Step<Visible>>,
  { input, servers }: ListQuestion,
  signal: AbortSignal,
): Promise<Step<Visible>> {
  const parts: Visible[] = [];
  for (const server of servers.toSorted()) {
    if (signal.aborted) return refuse("deadline", "while the list was made");
    const part = await ask({ ...input, mcp: { ...input.mcp, server } });
    if (!part.ok) return part;
    parts.push(part.value);
  }
  const all = (kind: keyof Visible) => Object.fromEntries(parts.flatMap((part) => Object.entries(part[kind])));
  return pass({ tools: all("tools"), prompts: all("prompts"), resources: all("resources") });
}

/** The library's answer, with nothing missing and nothing added. */
interface RawDecision {
  readonly allow: boolean;
  readonly scope_insufficient: boolean;
  readonly required_scopes: readonly string[];
  readonly reason: string | null;
  /** Policies that were compiled with an older library have none. */
  readonly labels?: readonly string[];
  /** Absent in a bundle of an earlier library, which asks for no log-in. */
  readonly step_up?: RawStepUp | null;
}

interface RawStepUp {
  readonly acr_values: readonly string[];
  readonly max_age: number | null;
}

const MAX_ACR_VALUES = 16;

function isStepUp(value: unknown): value is RawStepUp | null {
  if (value === null) return true;
  if (!isObjectOf(value, 2)) return false;
  const { acr_values: values, max_age: age } = value;
  if (age !== null && !(typeof age === "number" && Number.isSafeInteger(age) && age >= 0)) return false;
  return isList(values) && values.length <= MAX_ACR_VALUES && values.every((one) => SCOPE.test(one));
}

function stepUpOf({ step_up: wanted, required_scopes: scopes }: RawDecision): StepUp | null {
  if (wanted === undefined || wanted === null) return null;
  return { acrValues: wanted.acr_values.toSorted(), maxAge: wanted.max_age, scopes: scopes.toSorted() };
}

/** Checked by hand, once per Check: a schema library takes as long for this as the evaluation. */
function isDecision(value: unknown): value is RawDecision {
  if (!isObject(value)) return false;
  // Policies that were compiled with an older library lack these two.
  const members = 4 + ["step_up", "labels"].filter((name) => Object.hasOwn(value, name)).length;
  if (!isObjectOf(value, members) || !isWords(value)) return false;
  const { allow, scope_insufficient: insufficient, required_scopes: scopes, step_up: stepUp = null } = value;
  if (typeof allow !== "boolean" || typeof insufficient !== "boolean" || !isStepUp(stepUp)) return false;
  // One of them at most.
  return [allow, insufficient, stepUp !== null].filter(Boolean).length <= 1 && areScopes(scopes);
}

function isWords({ reason, labels = [] }: Readonly<Record<string, unknown>>): boolean {
  return (reason === null || typeof reason === "string") && isList(labels);
}

function areScopes(value: unknown): boolean {
  return isList(value) && value.length <= MAX_SCOPES && value.every((scope) => SCOPE.test(scope));
}

type Names = Readonly<Record<string, readonly string[]>>;

function isVisible(
  value: unknown,
): value is { readonly tools: Names; readonly prompts: Names; readonly resources: Names } {
  if (!isObjectOf(value, 3)) return false;
  return [value["tools"], value["prompts"], value["resources"]].every(
    (names) => isObject(names) && Object.values(names).every(isList),
  );
}

/** The number of members is checked first: with that many names found, there is no other. */
function isObjectOf(value: unknown, members: number): value is Readonly<Record<string, unknown>> {
  return isObject(value) && Object.keys(value).length === members;
}

function isList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

type Question = readonly [evaluator: Evaluator, entrypoint: Entrypoint, input: PolicyInput];

function evaluate(question: Question, check: CheckFacts | undefined): Step<unknown> {
  const [evaluator, entrypoint, input] = question;
  try {
    return pass(evaluator.evaluate(entrypoint, input, check));
  } catch (error) {
    const kind = faultKind(error);
    if (kind !== null) return refuse("policy_unavailable", argumentFault(kind, question));
    // opa-wasm throws strings ("policy.rego:5:1: var assignment conflict"), plain objects and errors.
    return refuse("policy_unavailable", thrownText(error));
  }
}

function argumentFault(kind: ArgumentKind, [evaluator, entrypoint, input]: Question): string {
  try {
    return evaluator.argumentFault(kind, entrypoint, input);
  } catch {
    return `a value is of another form: ${kind.wants}`;
  }
}

/** The engine's own words are places in the policy; an Error's message may quote the result, so its name has to do. */
export function thrownText(error: unknown): string {
  if (typeof error === "string") return error.slice(0, 200);
  return error instanceof Error ? `the evaluation failed: ${error.name}` : "the evaluation failed";
}

function sorted(lists: Readonly<Record<string, readonly string[]>>): Record<string, readonly string[]> {
  return Object.fromEntries(
    Object.entries(lists)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([server, list]) => [server, list.toSorted()]),
  );
}
