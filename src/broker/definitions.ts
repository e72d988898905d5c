import { z } from "zod";
import type { JsonObject, JsonValue } from "../mcp/json.ts";
import { isOrdinaryName } from "../mcp/method-table.ts";

/** What a server lists: tools and prompts by name, resources by URI. All members are kept as they came. */
export interface ServerEntries {
  readonly tools: readonly JsonObject[];
  readonly prompts: readonly JsonObject[];
  readonly resources: readonly JsonObject[];
  readonly templates: readonly JsonObject[];
}

export const NO_ENTRIES: ServerEntries = { tools: [], prompts: [], resources: [], templates: [] };

const MAX_ENTRIES = 1000;
const MAX_ENTRY_BYTES = 64 * 1024;
const MAX_URI = 2048;

/** Keeps the entries that can be named in a call, each name once; what a call would refuse is not listed either. */
export function usableEntries(list: JsonValue | undefined, key: "name" | "uri" | "uriTemplate"): JsonObject[] {
  const seen = new Set<string>();
  const kept: JsonObject[] = [];
  for (const entry of Array.isArray(list) ? (list as readonly JsonValue[]) : []) {
    if (typeof entry !== "object" || entry === null || Array.isArray(entry)) continue;
    const object = entry as JsonObject;
    const name = object[key];
    if (typeof name !== "string" || !isUsable(name, key) || seen.has(name)) continue;
    if (JSON.stringify(object).length > MAX_ENTRY_BYTES || kept.length >= MAX_ENTRIES) continue;
    seen.add(name);
    kept.push(object);
  }
  return kept.sort((a, b) => (nameOf(a, key) < nameOf(b, key) ? -1 : 1));
}

function isUsable(name: string, key: string): boolean {
  return key === "name" ? isOrdinaryName(name) : name.length > 0 && name.length <= MAX_URI && !/\p{C}/u.test(name);
}

/** The name or URI of an entry that was found usable. */
export function nameOf(entry: JsonObject, key: string): string {
  const name = entry[key];
  return typeof name === "string" ? name : "";
}

/** The catalogue as policy sees it (design 4.3): names only. */
export const catalogSchema = z.strictObject({
  servers: z.record(
    z.string(),
    z.strictObject({ tools: z.array(z.string()), prompts: z.array(z.string()), resources: z.array(z.string()) }),
  ),
});

export type CatalogNames = z.output<typeof catalogSchema>;

export function catalogNames(entries: ReadonlyMap<string, ServerEntries>): CatalogNames {
  const names = (list: readonly JsonObject[], key: string) => list.map((entry) => nameOf(entry, key));
  const servers = [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    servers: Object.fromEntries(
      servers.map(([server, { tools, prompts, resources, templates }]) => [
        server,
        {
          tools: names(tools, "name"),
          prompts: names(prompts, "name"),
          // A template is shown to whom policy allows the template itself, as a name.
          resources: [...names(resources, "uri"), ...names(templates, "uriTemplate")],
        },
      ]),
    ),
  };
}
