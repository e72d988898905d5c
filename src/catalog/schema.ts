// The catalogue that serve gets from the broker: read server by server, so that a faulty one does not affect others. No I/O.
import { setImmediate as turn } from "node:timers/promises";
import { z } from "zod";
import { innerObjectSpanIn, inSlices, objectSpanIn } from "../json/spans.ts";
import { isOrdinaryName } from "../mcp/method-table.ts";
import { MAX_URI } from "../mcp/merged-names.ts";
import { readJson } from "../json/strict-reader.ts";
import { createSlices } from "../async/slices.ts";

/** Names of one kind and server, in a catalogue and in the listing from which it is made. */
export const MAX_ENTRIES = 1000;

const ordinary = z.array(z.string().refine(isOrdinaryName)).max(MAX_ENTRIES);
const uris = z.array(z.string().min(1).max(MAX_URI)).max(MAX_ENTRIES);

/**
 * One server in the catalogue: names only, at most {@link MAX_ENTRIES} of each kind, because policy decides on each. A URI
 * template is a resource whose name is the template: it is shown if policy allows that name.
 */
const serverSchema = z.strictObject({ tools: ordinary, prompts: ordinary, resources: uris });

/**
 * Of a direct server that has such: the places in `tools` of those that have an argument with `x-mcp-header`, in ascending
 * order (MCP 2026-07-28, SEP-2243).
 */
const mirrors = z.array(z.int().min(0).max(MAX_ENTRIES)).max(MAX_ENTRIES).optional();
const partSchema = serverSchema.extend({ mirrors });

/** Names of one server. */
type ServerPart = z.output<typeof serverSchema>;

/** The catalogue as the broker publishes it. */
export interface PublishedCatalog {
  readonly servers: Readonly<Record<string, z.output<typeof partSchema>>>;
}

export interface CatalogNames {
  readonly servers: Readonly<Record<string, ServerPart>>;
}

/** The tools of direct servers of which an argument must be said in a header, too; by server. */
export type MirroringTools = ReadonlyMap<string, ReadonlySet<string>>;

/** The accepted part of a catalogue. */
export interface CatalogResult {
  readonly catalog: CatalogNames;
  readonly mirroring: MirroringTools;
  /** Servers of this configuration whose part was not accepted, with the reason. */
  readonly leftOut: Readonly<Record<string, "too_large" | "malformed">>;
}

/** The strict reader's limits for the part of one server. */
const LIMITS = { maxDepth: 3, maxMembers: 4 * MAX_ENTRIES + 4 };
/** Bytes of brackets, member names and places in the part of one server. */
export const PART_OVERHEAD_BYTES = 1024 + 5 * MAX_ENTRIES;

/**
 * Reads a catalogue in slices that yield to other requests. Null if it is no catalogue; a malformed or too large part leaves
 * out its server alone.
 * @param known servers of serve's own configuration; others are not read
 * @param maxNameBytes bytes of one server's names
 */
export async function readCatalog(
  bytes: Uint8Array,
  known: ReadonlySet<string>,
  maxNameBytes: number,
): Promise<CatalogResult | null> {
  const { spend } = createSlices();
  const root = await inSlices(objectSpanIn(bytes), spend);
  const parts = await inSlices(innerObjectSpanIn(bytes, root?.members.get("servers")), spend);
  if (parts === null || root?.members.size !== 1) return null;
  const servers: Record<string, ServerPart> = {};
  const mirroring = new Map<string, ReadonlySet<string>>();
  const leftOut: Record<string, "too_large" | "malformed"> = {};
  for (const [name, { start, end }] of parts.members) {
    if (!known.has(name)) continue;
    const part = end - start > maxNameBytes + PART_OVERHEAD_BYTES ? "too_large" : readPart(bytes.subarray(start, end));
    if (typeof part === "string") leftOut[name] = part;
    else {
      servers[name] = part.names;
      if (part.mirroring.size > 0) mirroring.set(name, part.mirroring);
    }
    await turn();
  }
  return { catalog: { servers }, mirroring, leftOut };
}

interface ReadPart {
  readonly names: ServerPart;
  readonly mirroring: ReadonlySet<string>;
}

function readPart(bytes: Uint8Array): ReadPart | "malformed" {
  const json = readJson(bytes, LIMITS);
  const parsed = partSchema.safeParse(json.ok ? json.value : null);
  if (!parsed.success) return "malformed";
  const { mirrors: places = [], ...names } = parsed.data;
  const mirroring = new Set<string>();
  for (const place of places) {
    const tool = names.tools[place];
    if (tool === undefined) return "malformed";
    mirroring.add(tool);
  }
  return { names, mirroring };
}
