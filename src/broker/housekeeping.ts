// Answers what is no call: the handshake, ping and the lists, from the catalogue and what the wristband names. Pure.
import { pass, refuse, type Step } from "../authz/step.ts";
import { IMPLEMENTATION } from "../files/version.ts";
import type { JsonObject } from "../json/types.ts";
import type { Operation, ToolSearch } from "../mcp/operation.ts";
import { SEARCH_MODE_TOOLS } from "../mcp/search-mode.ts";
import { TASKS_EXTENSION } from "../mcp/method-table.ts";
import { MODERN, SUPPORTED_VERSIONS } from "../mcp/versions.ts";
import { namesOf, type WristbandClaims } from "../wristband/claims.ts";
import type { Snapshot } from "./catalog/snapshot.ts";
import { listKindOf, LISTS, type ListKind } from "../mcp/lists.ts";
import type { ListEntry } from "./catalog/definitions.ts";
import type { Offers } from "./catalog/listing.ts";
import { searchTools } from "./tool-search.ts";
import { CHANGE_KINDS, type ChangeKind } from "./change-notices.ts";
import { pageOf, type PagedList } from "./pages.ts";

/** All that a result depends on. */
export interface BrokerView {
  readonly snapshot: Snapshot;
  /** Capabilities of the endpoint's server, for every caller; null if it was never listed, and where several are merged. */
  readonly offers: Offers | null;
  /** The endpoint's server; null on the merged endpoint. */
  readonly server: string | null;
  /** The endpoint's virtual server; null on all others. */
  readonly virtualServer: string | null;
  /** True in search mode: the list of tools is that of the two tools that find and call them. */
  readonly search: boolean;
  /** True where clients of the older revisions have sessions. */
  readonly sessions: boolean;
  /** Entries of a page; Infinity for as many as fit. */
  readonly pageEntries: number;
  readonly wristband: WristbandClaims;
  /** True if tasks of servers pass to clients that know them. */
  readonly tasks?: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Milliseconds that a client may cache its list (at most) or the result of `server/discover`. */
const LIST_TTL_MS = 5000;
const EVERYTHING: Offers = {
  ...{ tools: true, prompts: true, resources: true, completions: true },
  ...{ logging: true, subscribe: true, tasks: true },
};

/** The entries that the wristband names: the only filter, for all kinds. */
export function visible<T extends { readonly name: string }>(entries: readonly T[], allowed: readonly string[]): T[] {
  const names = new Set(allowed);
  return entries.filter(({ name }) => names.has(name));
}

/** The result of a request that the broker answers itself, a search of tools included, as JSON text. */
export async function ownAnswer(operation: Operation, params: JsonObject, view: BrokerView): Promise<Step<string>> {
  const { search, version } = operation;
  return search === undefined ? housekeeping(operation, params, view) : pass(await searchResult(version, search, view));
}

/**
 * The result of a housekeeping request as JSON text. Refuses with `params_invalid` for a cursor that is not of this list.
 */
export function housekeeping(operation: Operation, params: JsonObject, view: BrokerView): Step<string> {
  const isModern = operation.version === MODERN;
  const kind = listKindOf(operation.method);
  if (kind !== null) {
    const members = listMembers(kind, params["cursor"], view);
    return members.ok ? pass(isModern ? modernList(members.value, view) : `{${members.value}}`) : members;
  }
  const result = greeting(operation.method, params, view);
  if (!result.ok) return result;
  return pass(JSON.stringify(isModern ? { resultType: "complete", ...result.value } : result.value));
}

function greeting(method: string, params: JsonObject, view: BrokerView): Step<object> {
  const revisions = revisionsOf(view);
  if (method === "initialize") {
    const protocolVersion = negotiated(params["protocolVersion"], revisions);
    if (protocolVersion === null) return { ...refuse("version_unsupported", "direct"), supported: revisions };
    // Without a session there is no stream on which a change could be told.
    const own = { ...capabilities(view, view.sessions), ...(view.sessions && sessionCapabilities(view)) };
    return pass({ protocolVersion, capabilities: own, serverInfo: IMPLEMENTATION });
  }
  if (method !== "server/discover") return pass({}); // ping
  return pass({
    supportedVersions: revisions,
    capabilities: {
      ...capabilities(view, true),
      ...(offersOf(view).resources &&
        offersOf(view).subscribe && { resources: { listChanged: true, subscribe: true } }),
      ...(view.tasks === true && offersOf(view).tasks && { extensions: { [TASKS_EXTENSION]: {} } }),
    },
    serverInfo: IMPLEMENTATION,
    _meta: { "io.modelcontextprotocol/serverInfo": IMPLEMENTATION },
    ttlMs: LIST_TTL_MS,
    cacheScope: "private",
  });
}

/** Those of the gateway; on the endpoint of a direct server, whose clients meet it as it is, those that can be called there. */
function revisionsOf({ server, snapshot }: BrokerView): readonly string[] {
  const direct = server === null ? null : snapshot.servers.get(server)?.direct;
  return direct?.revisions ?? SUPPORTED_VERSIONS;
}

/** The revision of an older client: the requested one if it is supported, else the newest with a handshake; null for none. */
function negotiated(requested: unknown, revisions: readonly string[]): string | null {
  const known = revisions.filter((version) => version !== MODERN);
  return known.find((version) => version === requested) ?? known[0] ?? null;
}

/** Capabilities of the endpoint, the same for every caller: they tell nothing about rights. */
function capabilities(view: BrokerView, listChanged: boolean): object {
  const kinds = [...offeredKinds(view)].map((kind) => [kind, listChanged ? { listChanged } : {}] as const);
  return { ...Object.fromEntries(kinds), ...(offersOf(view).completions && { completions: {} }) };
}

/** What needs a session. */
function sessionCapabilities(view: BrokerView): object {
  const { resources, subscribe, logging } = offersOf(view);
  return {
    ...(resources && subscribe && { resources: { listChanged: true, subscribe } }),
    ...(logging && { logging: {} }),
  };
}

/** The kinds that the endpoint offers to whoever has the rights. */
export function offeredKinds(view: BrokerView): ReadonlySet<ChangeKind> {
  const served = offersOf(view);
  return new Set(CHANGE_KINDS.filter((kind) => served[kind]));
}

function offersOf({ server, offers, snapshot }: BrokerView): Offers {
  return server === null ? mergedOffers(snapshot) : (offers ?? EVERYTHING);
}

/** Where several servers are merged all lists are answered, and arguments are completed, or tasks made, if one of them does. */
function mergedOffers({ servers }: Snapshot): Offers {
  const isOfOne = (name: keyof Offers) => [...servers.values()].some(({ offers }) => offers[name]);
  const [completions, logging] = [isOfOne("completions"), isOfOne("logging")];
  return { ...EVERYTHING, completions, logging, subscribe: isOfOne("subscribe"), tasks: isOfOne("tasks") };
}

/** A page's entries and its cursor, as members of the result. */
function listMembers(kind: ListKind, cursor: unknown, view: BrokerView): Step<string> {
  const page = pageOf(
    view.server === null ? merged(kind, view) : ofServer(kind, view.server, view),
    cursor,
    view.pageEntries,
  );
  if (page === null) return { ...refuse("params_invalid", "cursor"), about: "cursor is not of this list" };
  const next = page.nextCursor === null ? "" : `,"nextCursor":"${page.nextCursor}"`;
  return pass(`"${LISTS[kind].member}":[${page.items.join(",")}]${next}`);
}

/** In the stateless revision a list has a TTL: no longer than the life of the wristband that it is made from. */
function modernList(members: string, { wristband, now }: BrokerView): string {
  const ttlMs = Math.max(0, Math.min(LIST_TTL_MS, wristband.exp * 1000 - now));
  return `{"resultType":"complete",${members},"ttlMs":${ttlMs},"cacheScope":"private"}`;
}

/** All servers' entries under their merged names. */
function merged(kind: ListKind, { snapshot, wristband, virtualServer, search }: BrokerView): PagedList {
  if (search && kind === "tools") return { of: [virtualServer, "search"], shown: SEARCH_MODE_TOOLS };
  const of = [wristband.idp, wristband.sub, virtualServer, kind, snapshot.revision];
  const shown = [...snapshot.servers].flatMap(([server, listed]) =>
    visible(listed[kind], allowedOn(kind, server, wristband)).flatMap(({ name, merged: json }) =>
      json === null ? [] : [{ name: `${server} ${name}`, json }],
    ),
  );
  return { of, shown };
}

/** The result of a call of `search_tools`, as JSON text: over what the caller's list would show. */
async function searchResult(version: string, search: ToolSearch, { snapshot, wristband }: BrokerView): Promise<string> {
  const tools = [...snapshot.servers].flatMap(([server, listed]) =>
    visible(listed.tools, allowedOn("tools", server, wristband)).filter(({ merged: json }) => json !== null),
  );
  const members = await searchTools(tools, search);
  return version === MODERN ? `{"resultType":"complete",${members}}` : `{${members}}`;
}

function ofServer(kind: ListKind, server: string, { snapshot, wristband }: BrokerView): PagedList {
  const listed = snapshot.servers.get(server);
  const entries: readonly ListEntry[] = listed?.[kind] ?? [];
  const of = [wristband.idp, wristband.sub, server, kind, listed?.revision ?? null];
  return { of, shown: visible(entries, allowedOn(kind, server, wristband)) };
}

function allowedOn(kind: ListKind, server: string, wristband: WristbandClaims): readonly string[] {
  return namesOf(wristband, kind === "templates" ? "resources" : kind, server);
}
