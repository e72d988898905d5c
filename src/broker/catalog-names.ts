import { z } from "zod";
import { isOrdinaryName } from "../mcp/method-table.ts";
import { readJson } from "../mcp/strict-json.ts";
import { MAX_ENTRIES } from "./definitions.ts";

const ordinary = z.array(z.string().refine(isOrdinaryName)).max(MAX_ENTRIES);
const uris = z.array(z.string().min(1).max(2048)).max(MAX_ENTRIES);

/**
 * The catalogue as policy sees it (design 4.3): names only, and no more of them than policy can be asked about. A
 * template stands among the resources under its own text: it is shown to whom policy allows that name.
 */
const catalogSchema = z.strictObject({
  servers: z.record(
    z.string().regex(/^[a-z][a-z0-9-]{0,62}$/),
    z.strictObject({ tools: ordinary, prompts: ordinary, resources: uris }),
  ),
});

export type CatalogNames = z.output<typeof catalogSchema>;

/** Names of all servers with their brackets: far more than a catalogue that policy can be asked about. */
const LIMITS = { maxDepth: 4, maxMembers: 500_000 };

/**
 * Reads a catalogue. One that is not exactly of this form is none at all.
 * @param known servers of serve's own configuration; others are left out
 */
export function readCatalog(bytes: Uint8Array, known: ReadonlySet<string>): CatalogNames | null {
  const json = readJson(bytes, LIMITS);
  const parsed = catalogSchema.safeParse(json.ok ? json.value : null);
  if (!parsed.success) return null;
  const servers = Object.entries(parsed.data.servers).filter(([name]) => known.has(name));
  return { servers: Object.fromEntries(servers) };
}
