// Which of a list's names a caller may see, where the list is there already: each is asked for as the policy library's `visible` asks
// for the names of the catalogue. Pure: policy is behind a port.
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Kind } from "../mcp/operation.ts";
import { faultOfTemplate, faultOfUri } from "../mcp/uri.ts";
import type { McpEndpoint } from "./endpoint.ts";
import type { JudgeContext } from "./judge.ts";
import { inputOf } from "./policy-input.ts";
import { pass, refuse, type Step } from "./step.ts";
import { offeredTarget, resolveTarget, type Target } from "./target.ts";
import type { PolicyCaller } from "./types.ts";

/** Names of one server's list. */
export interface NamesAsked {
  /** The server's own endpoint. */
  readonly endpoint: McpEndpoint;
  readonly kind: Kind;
  /** The server's own names, as it lists them. */
  readonly names: readonly string[];
  /** Protocol revision of the caller. */
  readonly version: string;
}

const METHODS = { tool: "tools/call", prompt: "prompts/get", resource: "resources/read" } as const;
/** Decisions before other requests have a turn. */
const PER_TURN = 8;

/** The names that may be seen. Refuses where policy is not available, or time ends; a name that is denied is only left out. */
export async function judgeNames(
  context: Omit<JudgeContext, "ports"> & { readonly ports: Pick<JudgeContext["ports"], "decide"> },
  caller: PolicyCaller,
  asked: NamesAsked,
): Promise<Step<ReadonlySet<string>>> {
  const { ports, facts, signal } = context;
  const shown = new Set<string>();
  for (const [i, name] of [...new Set(asked.names)].entries()) {
    if (i % PER_TURN === PER_TURN - 1) await nextTurn();
    if (signal.aborted) return refuse("deadline", "while the list was made");
    const target = targetOf(context, asked, name);
    if (!target.ok) continue;
    const decision = ports.decide(inputOf(context, caller, { ...target.value, listing: true }), facts);
    if (!decision.ok) return decision;
    facts.policy ??= decision.value.revision;
    // One revision answers for the whole list, whatever goes live meanwhile.
    if (decision.value.allow && decision.value.revision === facts.policy) shown.add(name);
  }
  return pass(shown);
}

function targetOf(
  { settings }: Pick<JudgeContext, "settings">,
  { endpoint, kind, version }: NamesAsked,
  name: string,
): Step<Target> {
  if (kind === "resource" && faultOfUri(name) !== null && faultOfTemplate(name) !== null)
    return refuse("params_invalid", "uri");
  const operation = { class: "named", method: METHODS[kind], kind, name, version, arguments: {} } as const;
  const target = resolveTarget(settings, endpoint, operation);
  return target.ok ? offeredTarget(settings, endpoint, target.value) : target;
}
