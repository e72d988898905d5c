// The four lists of MCP: method, member of the result, and the member that names an entry. Pure.
import type { Kind } from "../../mcp/operation.ts";

export const LISTS = {
  tools: { method: "tools/list", member: "tools", key: "name" },
  prompts: { method: "prompts/list", member: "prompts", key: "name" },
  resources: { method: "resources/list", member: "resources", key: "uri" },
  templates: { method: "resources/templates/list", member: "resourceTemplates", key: "uriTemplate" },
} as const;
export type ListKind = keyof typeof LISTS;

/** For policy and curation a template is a name of the kind resource. */
export const KINDS: Readonly<Record<ListKind, Kind>> = {
  tools: "tool",
  prompts: "prompt",
  resources: "resource",
  templates: "resource",
};
