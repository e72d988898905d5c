// The catalogue on its way from the broker to serve: read server by server, so that one costs the others nothing. Pure.
import { setImmediate as turn } from "node:timers/promises";
import { z } from "zod";
import { innerObjectSpanIn, inSlices, objectSpanIn } from "../json/spans.ts";
import { isOrdinaryName } from "../mcp/method-table.ts";
import { MAX_URI } from "../mcp/read-operation.ts";
import { readJson } from "../json/strict-reader.ts";
import { createSlices } from "../async/slices.ts";

/** Per server and kind of name, in a catalogue and in the listing that it is made of. */
export const MAX_ENTRIES = 1000;

const ordinary = z.array(z.string().refine(isOrdinaryName)).max(MAX_ENTRIES);
const uris = z.array(z.string().min(1).max(MAX_URI)).max(MAX_ENTRIES);

/**
 * The catalogue as policy sees it (design 4.3): names only, and no more of them than policy can be asked about. A
 * template stands among the resources under its own text: it is shown to whom policy allows that name.
 */
const serverSchema = z.strictObject({ tools: ordinary, prompts: ordinary, resources: uris });

export interface CatalogNames {
  readonly servers: Readonly<Record<string, z.output<typeof serverSchema>>>;
}

/** What of a catalogue can be taken. */
export interface ReadCatalog {
  readonly catalog: CatalogNames;
  /** Servers of this configuration whose part cannot be taken, and why. */
  readonly leftOut: Readonly<Record<string, "too_large" | "malformed">>;
}

/** Names of one server with their brackets. */
const LIMITS = { maxDepth: 3, maxMembers: 3 * MAX_ENTRIES + 3 };
/** Brackets and the names of the kinds, in one server's part. */
export const PART_OVERHEAD_BYTES = 1024;

/**
 * Reads a catalogue. What is no catalogue is null; the part of a server that is none, or too large, is left out alone.
 * Meanwhile other requests have their turn.
 * @param known servers of serve's own configuration; others are not read
 * @param maxNameBytes of one server's names
 */
export async function readCatalog(
  bytes: Uint8Array,
  known: ReadonlySet<string>,
  maxNameBytes: number,
): Promise<ReadCatalog | null> {
  const { spend } = createSlices();
  const root = await inSlices(objectSpanIn(bytes), spend);
  const parts = await inSlices(innerObjectSpanIn(bytes, root?.members.get("servers")), spend);
  if (parts === null || root?.members.size !== 1) return null;
  const servers: Record<string, z.output<typeof serverSchema>> = {};
  const leftOut: Record<string, "too_large" | "malformed"> = {};
  for (const [name, { start, end }] of parts.members) {
    if (!known.has(name)) continue;
    const part = end - start > maxNameBytes + PART_OVERHEAD_BYTES ? "too_large" : readPart(bytes.subarray(start, end));
    if (typeof part === "string") leftOut[name] = part;
    else servers[name] = part;
    await turn();
  }
  return { catalog: { servers }, leftOut };
}

function readPart(bytes: Uint8Array): z.output<typeof serverSchema> | "malformed" {
  const json = readJson(bytes, LIMITS);
  const parsed = serverSchema.safeParse(json.ok ? json.value : null);
  return parsed.success ? parsed.data : "malformed";
}
