// The target of a request about a task (SEP-2663): the tool whose call made it. Pure.
import { clientOf } from "./client-id.ts";
import { TASKS_EXTENSION } from "../mcp/method-table.ts";
import type { Operation } from "../mcp/operation.ts";
import type { McpEndpoint } from "./endpoint.ts";
import type { CheckFacts } from "./facts.ts";
import type { Ports } from "./ports.ts";
import { pass, refuse, type Step } from "./step.ts";
import type { Identity, PolicyOperation } from "./types.ts";

export interface TaskRequest {
  readonly endpoint: McpEndpoint;
  readonly identity: Identity;
  readonly operation: Operation;
}

/** Finds the tool, about which policy is asked again. What is not this caller's task at this endpoint is unknown. */
export function taskTarget(
  { openTask }: Pick<Ports, "openTask">,
  facts: Pick<CheckFacts, "server" | "name">,
  { endpoint, identity, operation: { method, version, name, arguments: none, declaresTasks } }: TaskRequest,
): Step<PolicyOperation & { readonly server: string | null }> {
  facts.name = null; // the id is good for its owner: it stands in no log
  if (openTask === undefined) return refuse("method_unknown", "no tasks");
  // Before the id is looked at (SEP-2663): whether it is a task is nothing that this client could use.
  if (declaresTasks !== true) return { ...refuse("capability_missing", "tasks"), extension: TASKS_EXTENSION };
  const task = name === null ? null : openTask({ ...identity, client: clientOf(identity) }, name);
  if (task === null || (endpoint.server !== null && endpoint.server !== task.server))
    return { ...refuse("params_invalid", "no such task"), about: "no such task" };
  facts.server = task.server;
  facts.name = task.tool;
  return pass({ method, version, kind: "tool", arguments: none, server: task.server, name: task.tool });
}
