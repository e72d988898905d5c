// The closed table of public hosts and paths, and the lookup in it. Pure. RFC 9728 §3.1 (well-known paths).
import { refuse, pass, type Step } from "./step.ts";

/** One public path: an MCP endpoint or a metadata document. `server` is null for the merged endpoint `/mcp`. */
export type Endpoint =
  | { readonly kind: "mcp"; readonly server: string | null; readonly resource: string; readonly allowQuery: boolean }
  | { readonly kind: "document"; readonly resource: string };

export interface EndpointTable {
  readonly hosts: ReadonlySet<string>;
  readonly paths: ReadonlyMap<string, Endpoint>;
}

export const WELL_KNOWN = "/.well-known/oauth-protected-resource";

/** Makes the table: `/mcp`, `/servers/NAME/mcp`, and the metadata document of each. */
export function endpointTable(
  publicOrigin: string,
  hosts: readonly string[],
  servers: Readonly<Record<string, { readonly allowQuery: boolean }>>,
): EndpointTable {
  const paths = new Map<string, Endpoint>();
  const add = (path: string, server: string | null, allowQuery: boolean) => {
    const resource = publicOrigin + path;
    paths.set(path, { kind: "mcp", server, resource, allowQuery });
    paths.set(WELL_KNOWN + path, { kind: "document", resource });
  };
  add("/mcp", null, false);
  for (const [name, { allowQuery }] of Object.entries(servers)) add(`/servers/${name}/mcp`, name, allowQuery);
  paths.set(WELL_KNOWN, { kind: "document", resource: `${publicOrigin}/mcp` });
  return { hosts: new Set([new URL(publicOrigin).hostname, ...hosts].map((host) => host.toLowerCase())), paths };
}

/** Finds the endpoint. The path is compared byte for byte and never through a URL library (threat model: C10). */
export function findEndpoint(table: EndpointTable, host: string, path: string): Step<Endpoint> {
  if (!table.hosts.has(hostName(host))) return refuse("route_unknown", "host");
  const endpoint = table.paths.get(path);
  return endpoint === undefined ? refuse("route_unknown", "path") : pass(endpoint);
}

/** The host in lower case, without port and without one trailing dot; "" for any other form, which matches no host. */
function hostName(host: string): string {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+?)\.?(?::\d{1,5})?$/i.exec(host);
  return match?.[1]?.toLowerCase() ?? "";
}
