// The four lists of MCP, and how each is asked for.

/** What a server lists, and how it is asked for. */
export const LISTS = {
  tools: { method: "tools/list", member: "tools", key: "name" },
  prompts: { method: "prompts/list", member: "prompts", key: "name" },
  resources: { method: "resources/list", member: "resources", key: "uri" },
  templates: { method: "resources/templates/list", member: "resourceTemplates", key: "uriTemplate" },
} as const;
export type ListKind = keyof typeof LISTS;
