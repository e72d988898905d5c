import { setImmediate as turn } from "node:timers/promises";
import { z } from "zod";
import { pass, refuse, type Step } from "../authz/outcome.ts";
import type { PolicyInput } from "../authz/policy-input.ts";
import type { Decision, Visible } from "../authz/ports.ts";
import type { Evaluator } from "./evaluator.ts";

const MAX_SCOPES = 64;
/** Characters of the author's reason that reach the audit line. */
const MAX_NOTE = 500;
/** RFC 6749 §3.3: what a scope may be made of; it goes into a header. */
const scope = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/);
const decisionSchema = z
  .strictObject({
    allow: z.boolean(),
    scope_insufficient: z.boolean(),
    required_scopes: z.array(scope).max(MAX_SCOPES),
    reason: z.string().nullable(),
  })
  .refine(({ allow, scope_insufficient: insufficient }) => !(allow && insufficient));
const names = z.record(z.string(), z.array(z.string()));
const visibleSchema = z.strictObject({ tools: names, prompts: names, resources: names });

/** Asks policy about one operation. Only a whole, well-formed answer with `allow === true` allows (E01–E03). */
export function decide(evaluator: Evaluator, input: PolicyInput): Step<Decision> {
  const result = evaluate(evaluator, "mcp_authz/decision", input);
  if (!result.ok) return result;
  const parsed = decisionSchema.safeParse(result.value);
  if (!parsed.success) return refuse("policy_unavailable", "the decision is malformed");
  const { allow, scope_insufficient: insufficient, required_scopes: scopes, reason } = parsed.data;
  const { revision } = evaluator;
  const note = reason === null ? null : reason.slice(0, MAX_NOTE);
  if (allow) return pass({ allow: true, revision, note });
  return pass({ allow: false, revision, note, requiredScopes: insufficient ? scopes.sort() : null });
}

/** Asks policy what the caller may see. WASM gives sets in no order, so everything is sorted here. */
export function visible(evaluator: Evaluator, input: PolicyInput): Step<Visible> {
  const result = evaluate(evaluator, "mcp_authz/visible", input);
  if (!result.ok) return result;
  const parsed = visibleSchema.safeParse(result.value);
  if (!parsed.success) return refuse("policy_unavailable", "the list is malformed");
  const { tools, prompts, resources } = parsed.data;
  return pass({ tools: sorted(tools), prompts: sorted(prompts), resources: sorted(resources) });
}

/**
 * The same for all servers, asked server by server: a large catalogue in one evaluation would keep every other request
 * waiting, and look like a policy that runs away. Requests get their turn in between.
 */
export async function visibleByServer(
  evaluator: Evaluator,
  input: PolicyInput,
  servers: readonly string[],
  signal: AbortSignal,
): Promise<Step<Visible>> {
  const parts: Visible[] = [];
  for (const server of servers.toSorted()) {
    if (signal.aborted) return refuse("deadline", "while the list was made");
    const part = visible(evaluator, { ...input, mcp: { ...input.mcp, server } });
    if (!part.ok) return part;
    parts.push(part.value);
    await turn();
  }
  const all = (kind: keyof Visible) => Object.fromEntries(parts.flatMap((part) => Object.entries(part[kind])));
  return pass({ tools: all("tools"), prompts: all("prompts"), resources: all("resources") });
}

function evaluate(
  evaluator: Evaluator,
  entrypoint: "mcp_authz/decision" | "mcp_authz/visible",
  input: PolicyInput,
): Step<unknown> {
  try {
    return pass(evaluator.evaluate(entrypoint, input));
  } catch (error) {
    // opa-wasm throws strings ("policy.rego:5:1: var assignment conflict"), plain objects and errors.
    return refuse("policy_unavailable", thrownText(error));
  }
}

/** The engine's own words are places in the policy; an Error's message may quote the result, so its name has to do. */
function thrownText(error: unknown): string {
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
