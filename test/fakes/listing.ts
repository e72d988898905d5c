// Lists as a server offers them, and the listing that the broker makes of them.
import type { Visible } from "../../src/authz/types.ts";
import { createEntryReader } from "../../src/broker/catalog/definitions.ts";
import type { ListKind } from "../../src/mcp/lists.ts";
import { emptyStats } from "../../src/broker/catalog/remarks.ts";
import type { AliasTable } from "../../src/mcp/aliases.ts";
import { createResolver } from "../../src/mcp/resolver.ts";
import type { Listing } from "../../src/broker/catalog/listing.ts";

export type Offered = Partial<Record<ListKind, readonly object[]>> & { readonly tasks?: boolean };

export const tool = (name: string, more: object = {}) => ({ name, inputSchema: { type: "object" }, ...more });
export const NOTHING: Visible = { tools: {}, prompts: {}, resources: {} };

export function listingOf(server: string, offered: Offered, aliases: AliasTable = {}): Listing {
  const stats = emptyStats();
  const names = createResolver({ [server]: `${server}_` }, { [server]: aliases }).namesOf(server);
  const budget = { names: Infinity, definitions: Infinity };
  const use = (kind: ListKind) => {
    const reader = createEntryReader(kind, { room: 1000, names, isOffered: () => true, stats, budget });
    for (const item of offered[kind] ?? []) reader.take(Buffer.from(JSON.stringify(item)));
    return reader.entries();
  };
  const offers = {
    tools: offered.tools !== undefined,
    prompts: offered.prompts !== undefined,
    resources: (offered.resources ?? offered.templates) !== undefined,
    logging: false,
    subscribe: false,
    tasks: offered.tasks === true,
    completions: offered.templates !== undefined,
  };
  const [tools, prompts, resources, templates] = (["tools", "prompts", "resources", "templates"] as const).map(use);
  return {
    tools: tools ?? [],
    prompts: prompts ?? [],
    resources: resources ?? [],
    templates: templates ?? [],
    offers,
    tellsOf: [],
    direct: null,
    stats,
    incomplete: {},
    broken: null,
  };
}
