import type { JsonObject } from "../mcp/json.ts";
import type { Operation } from "../mcp/operation.ts";
import { MODERN, SUPPORTED_VERSIONS } from "../mcp/versions.ts";
import { namesOf, type WristbandClaims } from "../wristband/claims.ts";
import { nameOf, type ServerEntries } from "./definitions.ts";

/** What the broker knows when it answers. */
export interface BrokerView {
  readonly entries: ReadonlyMap<string, ServerEntries>;
  /** The endpoint's server; null on the merged endpoint. */
  readonly server: string | null;
  readonly wristband: WristbandClaims;
  /** A server's tool as it is named on the merged endpoint. */
  readonly publicName: (server: string, name: string) => string;
}

const SERVER_INFO = { name: "mcp-authz", version: "1.0.0" };
/** How long a client may keep a list that is hers alone. */
const LIST_TTL_MS = 5000;

/** Entries that the wristband names: the one filter for all kinds. What it does not name does not exist. */
export function visible<T>(items: readonly T[], allowed: readonly string[], nameOf: (item: T) => unknown): T[] {
  const names = new Set<unknown>(allowed);
  return items.filter((item) => names.has(nameOf(item)));
}

/** The result of a housekeeping request, in our own words only (design 4.3). */
export function housekeeping(operation: Operation, requestedVersion: unknown, view: BrokerView): JsonObject {
  const modern = operation.version === MODERN;
  const result = resultOf(operation, requestedVersion, view);
  return (modern ? { resultType: "complete", ...result } : result) as JsonObject;
}

function resultOf(operation: Operation, requestedVersion: unknown, view: BrokerView): object {
  switch (operation.method) {
    case "initialize":
      return {
        protocolVersion: negotiated(requestedVersion),
        capabilities: capabilities(view),
        serverInfo: SERVER_INFO,
      };
    case "server/discover":
      return {
        supportedVersions: SUPPORTED_VERSIONS,
        capabilities: capabilities(view),
        serverInfo: SERVER_INFO,
        ttlMs: LIST_TTL_MS,
        cacheScope: "private",
      };
    case "tools/list":
      return list("tools", tools(view), operation.version);
    case "prompts/list":
      return list("prompts", ofServer(view, "prompts", "name"), operation.version);
    case "resources/list":
      return list("resources", ofServer(view, "resources", "uri"), operation.version);
    case "resources/templates/list":
      return list("resourceTemplates", ofServer(view, "templates", "uriTemplate"), operation.version);
    default:
      return {}; // ping
  }
}

/** The older revisions negotiate: theirs if we speak it, else our newest with a handshake. */
function negotiated(requested: unknown): string {
  const known = SUPPORTED_VERSIONS.filter((version) => version !== MODERN);
  return known.find((version) => version === requested) ?? known[0] ?? MODERN;
}

function capabilities({ server }: BrokerView): object {
  return server === null ? { tools: {} } : { tools: {}, prompts: {}, resources: {} };
}

function list(member: string, items: readonly JsonObject[], version: string): object {
  return version === MODERN ? { [member]: items, ttlMs: LIST_TTL_MS, cacheScope: "private" } : { [member]: items };
}

function tools({ entries, server, wristband, publicName }: BrokerView): JsonObject[] {
  const servers = server === null ? [...entries.keys()].sort() : [server];
  return servers.flatMap((name) => {
    const shown = visible(entries.get(name)?.tools ?? [], namesOf(wristband, "tools", name), (tool) => tool["name"]);
    return server === null ? shown.map((tool) => ({ ...tool, name: publicName(name, nameOf(tool, "name")) })) : shown;
  });
}

function ofServer(
  { entries, server, wristband }: BrokerView,
  kind: "prompts" | "resources" | "templates",
  key: string,
): JsonObject[] {
  if (server === null) return []; // prompts and resources are served per server
  const allowed = namesOf(wristband, kind === "prompts" ? "prompts" : "resources", server);
  return visible(entries.get(server)?.[kind] ?? [], allowed, (item) => item[key]);
}
