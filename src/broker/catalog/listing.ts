import { HttpFault } from "../../http/client.ts";
import { isObject } from "../../mcp/envelope.ts";
import type { Limits } from "../../config/schema/limits.ts";
import { createEntryReader, type Entry, type EntryReader, type ListBudget, type Tally } from "./definitions.ts";
import { LISTS, type ListKind } from "./kinds.ts";
import { MAX_ENTRIES } from "../../catalog/schema.ts";
import type { ListResult } from "./list-response.ts";
import { createSlices, type Slices } from "../../async/slices.ts";
import { createBudget } from "../upstream/client.ts";
import { converse, type Conversation, type ListedUpstream } from "./conversation.ts";

/** What a server lists: tools and prompts by name, resources and templates by URI; each in order. */
export interface Listing {
  readonly tools: readonly Entry[];
  readonly prompts: readonly Entry[];
  readonly resources: readonly Entry[];
  readonly templates: readonly Entry[];
  readonly offers: Offers;
  readonly tally: Tally;
}

/** What of tools, prompts and resources a server says it has. */
export interface Offers {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
}

export interface ListingOptions extends ListedUpstream {
  /** For everything together. */
  readonly timeoutMs: number;
  readonly publicName: (name: string) => string;
  /** Bytes that one server's names and definitions may take. */
  readonly limits: Pick<Limits, "serverNameBytes" | "serverDefinitionBytes">;
  readonly slices?: Slices;
}

const MAX_PAGES = 100;

/** Reads everything that a server lists, as the gateway itself. @throws {HttpFault} */
export async function listUpstream(options: ListingOptions): Promise<Listing> {
  const { timeoutMs, slices = createSlices() } = options;
  const server = await converse(options, createBudget(AbortSignal.timeout(timeoutMs), slices));
  try {
    return await readLists(server, options);
  } finally {
    await server.close();
  }
}

async function readLists(server: Conversation, { publicName, limits }: ListingOptions): Promise<Listing> {
  const offered = (capability: string) => isObject(server.capabilities[capability]);
  const offers = { tools: offered("tools"), prompts: offered("prompts"), resources: offered("resources") };
  const tally: Tally = { dropped: {}, cleaned: 0 };
  const budget: ListBudget = { names: limits.serverNameBytes, definitions: limits.serverDefinitionBytes };
  const pages = { left: MAX_PAGES };
  const read = async (kind: ListKind, isOffered: boolean, room = MAX_ENTRIES) => {
    const reader = createEntryReader(kind, { room, publicName, tally, budget });
    if (isOffered) await readPages(server, { kind, reader }, pages);
    return reader.entries();
  };
  const tools = await read("tools", offers.tools);
  const prompts = await read("prompts", offers.prompts);
  const resources = await read("resources", offers.resources);
  // For policy both are names of resources, and share their number.
  const templates = await read("templates", offers.resources, MAX_ENTRIES - resources.length);
  return { tools, prompts, resources, templates, offers, tally };
}

interface Reading {
  readonly kind: ListKind;
  readonly reader: EntryReader;
}

async function readPages(server: Conversation, { kind, reader }: Reading, pages: { left: number }): Promise<void> {
  const { method, member } = LISTS[kind];
  const seen = new Set<string>();
  let cursor: string | null = null;
  do {
    pages.left -= 1;
    if (pages.left < 0) throw new HttpFault("too_many_pages");
    const result: ListResult | null = await server.list(method, cursor === null ? {} : { cursor });
    if (result === null) return;
    if (!(await result.items(member, reader.take))) throw new HttpFault("malformed_list");
    const next = result.value("nextCursor");
    cursor = typeof next === "string" ? next : null;
    if (cursor !== null && seen.has(cursor)) throw new HttpFault("cursor_repeats");
    if (cursor !== null) seen.add(cursor);
  } while (cursor !== null);
}

/** Why a listing failed, in a word that may be shown to operators. */
export function faultWord(error: unknown): string {
  return error instanceof HttpFault ? error.code : "failed";
}
