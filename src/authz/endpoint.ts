// The closed table of public hosts and paths, and the lookup in it. Pure. RFC 9728 §3.1 (well-known paths).
import { hasEndpointForm } from "./endpoint-form.ts";
import { refuse, pass, type Refused, type Step } from "./step.ts";

/** One public path: an MCP endpoint or a metadata document. */
export type Endpoint =
  | {
      readonly kind: "mcp";
      /** Null where names of several servers are merged: on `/mcp`, and on the endpoint of a virtual server. */
      readonly server: string | null;
      /** The virtual server that narrows this endpoint; null for all others. */
      readonly virtualServer: string | null;
      /** True in search mode (mcp/search-mode.ts). */
      readonly search: boolean;
      /** Its own URL. */
      readonly resource: string;
      /** What its metadata calls it, where the configuration gives it another name (`resource`). */
      readonly namedResource?: string | null;
      readonly allowQuery: boolean;
      /** True if the broker gives clients of older revisions a session here: GET and DELETE have a meaning then. */
      readonly sessions: boolean;
      /** What is served here of the transport HTTP+SSE (2024-11-05); null at an endpoint of streamable HTTP. */
      readonly legacySse: LegacySse | null;
    }
  | { readonly kind: "document"; readonly resource: string }
  /** Any other path of the host, where a policy of the form of opa-envoy-plugin decides those (docs/opa-envoy.md). */
  | typeof HOST_PATH;

export const HOST_PATH = { kind: "host" } as const;

/** The stream, or where its messages are posted: then with the session's id, which stands in the path. */
export type LegacySse = { readonly session: string | null };

export type McpEndpoint = Extract<Endpoint, { kind: "mcp" }>;

/** The names of an endpoint, each of which a token's audience may be. */
export function resourcesOf({
  resource,
  namedResource = null,
}: Pick<McpEndpoint, "resource" | "namedResource">): readonly string[] {
  return namedResource === null ? [resource] : [resource, namedResource];
}

export interface EndpointTable {
  readonly hosts: ReadonlySet<string>;
  readonly paths: ReadonlyMap<string, Endpoint>;
  /** True if policy decides paths that are none of these. */
  readonly hostPaths?: boolean;
}

export const WELL_KNOWN = "/.well-known/oauth-protected-resource";

export interface EndpointSettings {
  readonly publicOrigin: string;
  /** Further host names. */
  readonly hosts: readonly string[];
  readonly servers: Readonly<Record<string, EndpointOfServer>>;
  /** The name of every endpoint that has none of its own. */
  readonly challenge?: { readonly resource: string | null };
  /** True if the endpoints of several servers have one of HTTP+SSE beside them. */
  readonly legacySse?: boolean;
  /** Their names are in the same name space as those of servers. */
  readonly virtualServers: Readonly<Record<string, unknown>>;
  /** Search mode, on the endpoints of several servers. */
  readonly search: boolean;
  /** True if clients of a server's endpoint get a session; null asks for endpoints of several servers. */
  readonly hasSessions: (server: string | null) => boolean;
  /** `policy.envoy`: who decides the host's other paths. */
  readonly policy?: { readonly mode?: "mcp" | "envoy"; readonly envoy?: object | null };
}

interface EndpointOfServer {
  readonly allowQuery: boolean;
  readonly legacySse?: boolean;
  readonly resource?: string | null;
}

/** The path of a server's endpoint, or a virtual server's. */
export function endpointPath(name: string): string {
  return `/servers/${name}/mcp`;
}

/** The path of the endpoint of HTTP+SSE beside an endpoint. */
export function legacySsePath(path: string): string {
  return path.replace(/\/mcp$/, "/sse");
}

/** Makes the table: `/mcp`, `/servers/NAME/mcp`, those of HTTP+SSE, and the metadata document of each. */
export function endpointTable(settings: EndpointSettings): EndpointTable {
  const { publicOrigin, hosts, servers, virtualServers, search } = settings;
  const paths = new Map<string, Endpoint>();
  const set = (path: string, scope: Omit<McpEndpoint, "kind" | "resource" | "namedResource" | "sessions">) => {
    const resource = publicOrigin + path;
    const namedResource = servers[scope.server ?? ""]?.resource ?? settings.challenge?.resource ?? null;
    const sessions = settings.hasSessions(scope.server);
    paths.set(path, { kind: "mcp", ...scope, resource, namedResource, sessions });
    paths.set(WELL_KNOWN + path, { kind: "document", resource: namedResource ?? resource });
  };
  const add = (path: string, scope: Pick<McpEndpoint, "server" | "virtualServer" | "search" | "allowQuery">) => {
    set(path, { ...scope, legacySse: null });
    const { server } = scope;
    const isSse = server === null ? settings.legacySse : servers[server]?.legacySse;
    // The connection of its stream is a session.
    if (isSse === true && settings.hasSessions(server))
      set(legacySsePath(path), { ...scope, allowQuery: false, legacySse: { session: null } });
  };
  add("/mcp", { server: null, virtualServer: null, search, allowQuery: false });
  for (const name of Object.keys(virtualServers))
    add(endpointPath(name), { server: null, virtualServer: name, search, allowQuery: false });
  for (const [name, { allowQuery }] of Object.entries(servers))
    add(endpointPath(name), { server: name, virtualServer: null, search: false, allowQuery });
  const merged = paths.get(`${WELL_KNOWN}/mcp`);
  if (merged !== undefined) paths.set(WELL_KNOWN, merged);
  const isAlone = settings.policy?.mode === "envoy";
  return {
    hosts: new Set([new URL(publicOrigin).hostname, ...hosts].map((host) => host.toLowerCase())),
    paths: isAlone ? new Map() : paths,
    ...((isAlone || (settings.policy?.envoy ?? null) !== null) && { hostPaths: true }),
  };
}

/** An endpoint, and its path as the configuration has it: without a session's id. */
export interface Located {
  readonly endpoint: Endpoint;
  readonly path: string;
}

/** Finds the endpoint. The path is compared byte for byte and never through a URL library (threat model: C10). */
export function findEndpoint(table: EndpointTable, host: string, path: string): Step<Located> {
  if (!table.hosts.has(hostName(host))) return refuse("route_unknown", "host");
  const found = endpointAt(table.paths, path);
  if (found !== null) return pass(found);
  return table.hostPaths === true && !isNear(table, path)
    ? pass({ endpoint: HOST_PATH, path })
    : unknownPath(table, path);
}

/**
 * True for a path that is an endpoint's but for letters' case or slashes at its end, as some server may take one for the other; and
 * for one that has the form of an endpoint's in any spelling: it may be that of a server that is not known here yet, or not any more, and
 * a call with its arguments must not reach the application, nor an MCP server behind it that nobody judged it for. Where there are no MCP endpoints, no path is one.
 */
function isNear({ paths }: EndpointTable, path: string): boolean {
  if (paths.size === 0) return false;
  return hasEndpointForm(path) || endpointAt(paths, path.toLowerCase().replace(/\/+$/, "")) !== null;
}

/** Says where the endpoint is to whoever wrote one slash behind its path: clients that guess on end in other protocols. */
function unknownPath(table: EndpointTable, path: string): Refused {
  const meant = path.endsWith("/") ? endpointAt(table.paths, path.slice(0, -1)) : null;
  const refused = refuse("route_unknown", "path");
  return meant === null ? refused : { ...refused, about: `it is ${meant.path}, without a slash at its end` };
}

/** Where messages of HTTP+SSE are posted: an id of ours behind the path of the stream (authz/session-request.ts has its form). */
const MESSAGE_PATH = /^(\/(?:[a-z0-9/-]+\/)?sse)\/([A-Za-z0-9_.-]{1,2048})$/;

/** The endpoint of a path; null for a path that is not ours. */
export function endpointAt(paths: Pick<ReadonlyMap<string, Endpoint>, "get">, path: string): Located | null {
  const endpoint = paths.get(path);
  if (endpoint !== undefined) return { endpoint, path };
  const [, streamPath = "", session = ""] = MESSAGE_PATH.exec(path) ?? [];
  const stream = paths.get(streamPath);
  if (stream?.kind !== "mcp" || stream.legacySse === null) return null;
  return { endpoint: { ...stream, legacySse: { session } }, path: streamPath };
}

/** The host in lower case, without port and without one trailing dot; "" for any other form, which matches no host. */
export function hostName(host: string): string {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+?)\.?(?::\d{1,5})?$/i.exec(host);
  return match?.[1]?.toLowerCase() ?? "";
}
