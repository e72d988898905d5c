// What an operation is about: its server and the server's own name, as policy sees them. Pure.
import { isOrdinaryName } from "../mcp/method-table.ts";
import type { Curation } from "../mcp/curation.ts";
import type { Operation } from "../mcp/operation.ts";
import type { Resolver } from "../mcp/resolver.ts";
import type { McpEndpoint } from "./endpoint.ts";
import { pass, refuse, type Step } from "./step.ts";
import type { CheckFacts } from "./facts.ts";
import type { PolicyOperation } from "./types.ts";

/** An operation at its server; null for one that is about no server, or about all. */
export type Target = PolicyOperation & { readonly server: string | null };

export interface TargetSettings {
  readonly resolver: Resolver;
  /** What each server offers, before policy is asked. */
  readonly curation: Curation;
}

export type AskedOperation = Pick<Operation, "class" | "method" | "kind" | "name" | "version" | "arguments">;

/** Finds the server of an operation and removes the server's prefix. An unknown name is refused like a denied one. */
export function resolveTarget(
  { resolver }: TargetSettings,
  endpoint: McpEndpoint,
  operation: AskedOperation,
): Step<Target> {
  const { method, kind, version } = operation;
  const at = { method, kind, version, arguments: operation.arguments };
  if (operation.class !== "named" || operation.name === null)
    return pass({ ...at, server: endpoint.server, name: null });
  if (kind !== "resource" && !isOrdinaryName(operation.name)) return refuse("policy_denied", "not an ordinary name");
  const found = kind === null ? null : resolver.resolveAt(endpoint.server, kind, operation.name);
  return found === null ? refuse("policy_denied", "no server has this name") : pass({ ...at, ...found });
}

/** The same, which the facts have from here on. */
export function knownTarget(
  settings: TargetSettings,
  facts: Pick<CheckFacts, "server" | "name">,
  { endpoint, operation }: { readonly endpoint: McpEndpoint; readonly operation: AskedOperation },
): Step<Target> {
  const target = resolveTarget(settings, endpoint, operation);
  if (target.ok && target.value.name !== null) {
    facts.server = target.value.server;
    facts.name = target.value.name;
  }
  return target;
}

/** Refuses a name that the configuration hides from every caller: then policy is not asked. */
export function offeredTarget(
  { curation }: TargetSettings,
  { virtualServer }: McpEndpoint,
  target: Target,
): Step<Target> {
  const { server, kind, name } = target;
  const isOffered =
    name === null || (server !== null && kind !== null && curation.offers(kind, { server, name }, virtualServer));
  return isOffered ? pass(target) : refuse("policy_denied", "curation: the server does not offer it");
}
