// The four lists of MCP: method, member of the result, the member that names an entry, and the kind of the names. Pure.
import type { Kind } from "./operation.ts";

export interface List {
  readonly method: string;
  readonly member: string;
  readonly key: string;
  /** For policy and curation a template is a name of the kind resource. */
  readonly kind: Kind;
}

export const LISTS = {
  tools: { method: "tools/list", member: "tools", key: "name", kind: "tool" },
  prompts: { method: "prompts/list", member: "prompts", key: "name", kind: "prompt" },
  resources: { method: "resources/list", member: "resources", key: "uri", kind: "resource" },
  templates: { method: "resources/templates/list", member: "resourceTemplates", key: "uriTemplate", kind: "resource" },
} as const satisfies Readonly<Record<string, List>>;
export type ListKind = keyof typeof LISTS;

const BY_METHOD = new Map<string, ListKind>(
  (Object.keys(LISTS) as ListKind[]).map((kind) => [LISTS[kind].method, kind]),
);

/** The list that a method asks for; null for any other method. */
export function listKindOf(method: string): ListKind | null {
  return BY_METHOD.get(method) ?? null;
}

const MEMBERS: ReadonlySet<string> = new Set(Object.values(LISTS).map(({ member }) => member));

/** True for the member that another list than this one has its entries in. */
export function isOtherList({ member: own }: List, member: string): boolean {
  return member !== own && MEMBERS.has(member);
}
