// Routes and clusters of the host's paths that are no MCP endpoint (docs/opa-envoy.md). Pure. Only metadata of the Check chooses
// such a route, as any other (routes.ts).
import type { Config } from "../config/schema.ts";

type Upstream = Config["envoy"]["upstreams"][number];
type Place = { readonly path_separated_prefix: string } | { readonly prefix: string };

export function hostCluster(index: number): string {
  return `host_${index}`;
}

/** Servers of the host's paths, the longest prefix first. */
export function hostUpstreams({ envoy }: Config): (Upstream & { readonly cluster: string; readonly place: Place })[] {
  return envoy.upstreams
    .map((upstream, i) => ({ ...upstream, cluster: hostCluster(i), place: placeOf(upstream.prefix) }))
    .toSorted((one, other) => other.prefix.length - one.prefix.length);
}

/** `/api` is not the beginning of `/apis`. */
function placeOf(prefix: string): Place {
  return prefix.endsWith("/") ? { prefix } : { path_separated_prefix: prefix };
}

/** What Envoy finds before the Check, and after it where the Check has named no route. */
export function hostMatches(config: Config, unbuffered: object): object[] {
  return hostUpstreams(config).map(({ place, body }) => ({
    match: place,
    direct_response: { status: 404 },
    ...(body ? {} : unbuffered),
  }));
}
