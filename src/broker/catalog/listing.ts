// Reads all lists of one server, page by page, within bounds of time, bytes, pages and entries. I/O by conversation.ts.
import { HttpFault } from "../../http/client.ts";
import { TASKS_EXTENSION } from "../../mcp/method-table.ts";
import type { Kind } from "../../mcp/operation.ts";
import type { Limits } from "../../config/schema/limits.ts";
import { createEntryReader, type ListEntry, type EntryReader, type ListBudget } from "./definitions.ts";
import { emptyStats, remark, type ListingStats } from "./remarks.ts";
import { LISTS, type ListKind } from "../../mcp/lists.ts";
import type { ServerNames } from "../../mcp/resolver.ts";
import { MAX_ENTRIES } from "../../catalog/schema.ts";
import type { ListResult } from "./list-response.ts";
import { createSlices, type Slices } from "../../async/slices.ts";
import { createBudget } from "../upstream/client.ts";
import type { OutputSchemas } from "./output-schemas.ts";
import type { ChangeKind } from "../change-notices.ts";
import { declaredChanges } from "./upstream-listener.ts";
import { directFit, type DirectFit } from "./direct-fit.ts";
import { converse, type Conversation, type ListedUpstream } from "./conversation.ts";
import { isObject } from "../../json/object.ts";

/** The lists of one server: tools and prompts by name, resources and templates by URI; each in order. */
export interface Listing {
  readonly tools: readonly ListEntry[];
  readonly prompts: readonly ListEntry[];
  readonly resources: readonly ListEntry[];
  readonly templates: readonly ListEntry[];
  readonly offers: Offers;
  /** The lists whose changes the server declares to tell of. */
  readonly tellsOf: readonly ChangeKind[];
  /** What a direct route can carry of it; null for a server whose calls are relayed. */
  readonly direct: DirectFit | null;
  readonly stats: ListingStats;
  /** Lists that end where they could not be read on, and why. What was read of them is here. */
  readonly incomplete: Incomplete;
  /** Why one of them broke off where the next attempt may get further; null if none did. */
  readonly broken: string | null;
}

export type Incomplete = Partial<Record<ListKind, string>>;

/** The capabilities that a server declares. */
export interface Offers {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
  readonly completions: boolean;
  readonly logging: boolean;
  /** Of resources. */
  readonly subscribe: boolean;
  /** The extension of tasks, which the stateless revision alone has. */
  readonly tasks: boolean;
}

export interface ListingOptions extends ListedUpstream {
  /** For all requests together. */
  readonly timeoutMs: number;
  readonly names: ServerNames;
  /** False for what the configuration hides from every caller. */
  readonly isOffered: (kind: Kind, name: string) => boolean;
  /** Bytes that one server's names and definitions may take. */
  readonly limits: Pick<Limits, "serverNameBytes" | "serverDefinitionBytes">;
  readonly outputSchemas: Pick<OutputSchemas, "compile">;
  readonly slices?: Slices;
}

/** Of each list. */
const MAX_PAGES = 100;
/** Faults of a list that come again each time. */
const LASTING: ReadonlySet<string> = new Set(["cursor_repeats", "too_many_pages", "too_large"]);
/** Faults after which the server can still be asked for its other lists. */
const OF_ONE_LIST: ReadonlySet<string> = new Set(["rpc_error", "malformed_list", "malformed_answer", ...LASTING]);

/** Lists a server as the gateway itself. @throws {HttpFault} */
export async function listUpstream(options: ListingOptions): Promise<Listing> {
  const { timeoutMs, slices = createSlices() } = options;
  const server = await converse(options, createBudget(AbortSignal.timeout(timeoutMs), slices));
  try {
    return await readLists(server, options);
  } finally {
    await server.close();
  }
}

function offersOf({ capabilities, dialect }: Conversation): Offers {
  const offered = (capability: string) => isObject(capabilities[capability]);
  const { resources, extensions } = capabilities;
  return {
    tools: offered("tools"),
    prompts: offered("prompts"),
    resources: offered("resources"),
    completions: offered("completions"),
    logging: offered("logging"),
    subscribe: isObject(resources) && resources["subscribe"] === true,
    tasks: dialect.era === "modern" && isObject(extensions) && isObject(extensions[TASKS_EXTENSION]),
  };
}

async function readLists(server: Conversation, options: ListingOptions): Promise<Listing> {
  const { names, isOffered, limits, outputSchemas } = options;
  const offers = offersOf(server);
  const stats = emptyStats();
  const budget: ListBudget = { names: limits.serverNameBytes, definitions: limits.serverDefinitionBytes };
  const progress = createProgress();
  const read = async (kind: ListKind, isDeclared: boolean, room = MAX_ENTRIES) => {
    const reader = createEntryReader(kind, { room, names, isOffered, stats, budget });
    if (isDeclared) await progress.read(kind, () => readPages(server, { kind, reader }));
    await reader.checkOutputSchemas(outputSchemas.compile);
    return reader.entries();
  };
  const tools = await read("tools", offers.tools);
  for (const own of names.aliased)
    if (tools.every(({ name }) => name !== own)) remark(stats.dropped, "alias_unused", own);
  const prompts = await read("prompts", offers.prompts);
  const resources = await read("resources", offers.resources);
  // For policy both are names of resources: they share one bound.
  const templates = await read("templates", offers.resources, MAX_ENTRIES - resources.length);
  const tellsOf = declaredChanges(server.capabilities);
  const direct = server.spoken === null ? null : directFit(server.spoken);
  return { tools, prompts, resources, templates, offers, tellsOf, direct, stats, ...progress.end() };
}

/** Keeps what was read of each list, and why it ended. */
function createProgress() {
  const incomplete: Incomplete = {};
  const faults: unknown[] = [];
  let lost: unknown = null;
  let whole = 0;
  return {
    async read(kind: ListKind, pages: () => Promise<boolean>): Promise<void> {
      try {
        if (lost !== null) throw lost;
        if (await pages()) whole += 1;
      } catch (error) {
        const [cause, hasRead] = error instanceof Stop ? [error.cause, error.pages > 0] : [error, false];
        const word = faultWord(cause);
        if (hasRead) whole += 1;
        if (!OF_ONE_LIST.has(word) && !word.startsWith("status_")) lost = cause;
        incomplete[kind] = word;
        faults.push(cause);
      }
    },
    /** @throws {HttpFault} if nothing was read at all */
    end(): Pick<Listing, "incomplete" | "broken"> {
      if (faults.length > 0 && whole === 0) throw faults[0];
      return { incomplete, broken: faults.map(faultWord).find((word) => !LASTING.has(word)) ?? null };
    },
  };
}

/** A list ends after some pages, by what its server did. */
class Stop extends Error {
  readonly pages: number;
  constructor(cause: unknown, pages: number) {
    super("stop", { cause });
    this.pages = pages;
  }
}

interface ListReading {
  readonly kind: ListKind;
  readonly reader: EntryReader;
}

/** True once the list is read to its end; false if the server does not have it. @throws {Stop} */
async function readPages(server: Conversation, { kind, reader }: ListReading): Promise<boolean> {
  const { method, member } = LISTS[kind];
  const seen = new Set<string>();
  let cursor: string | null = null;
  let pages = 0;
  try {
    do {
      if (pages === MAX_PAGES) throw new HttpFault("too_many_pages");
      const result: ListResult | null = await server.list(method, cursor === null ? {} : { cursor });
      if (result === null) return pages > 0;
      if (!(await result.items(member, reader.take))) throw new HttpFault("malformed_list");
      pages += 1;
      const next = result.value("nextCursor");
      cursor = typeof next === "string" ? next : null;
      if (cursor !== null && seen.has(cursor)) throw new HttpFault("cursor_repeats");
      if (cursor !== null) seen.add(cursor);
    } while (cursor !== null);
    return true;
  } catch (error) {
    throw new Stop(error, pages);
  }
}

/** Why a listing failed, as a code that may be shown to operators. */
export function faultWord(error: unknown): string {
  return error instanceof HttpFault ? error.message : "failed";
}
