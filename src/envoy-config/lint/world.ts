// What is MCP in a dump, and which filters ask mcp-authz: what the rules are put to. Pure.
import { addressesOf } from "./clusters.ts";
import type { Dump } from "./dump.ts";
import { withoutZone, type Expected } from "./expected.ts";
import type { Place } from "./finding.ts";
import { at, fieldsOf, hasAt, listAt, textAt } from "./fields.ts";
import { chainsOf, type HttpFilter, type Manager, type TcpProxy } from "./managers.ts";
import { pathOf, routesOf, runsOn, type Route } from "./routes.ts";

export const EXT_AUTHZ_TYPE = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";

/** An ext_authz filter that asks mcp-authz, in its connection manager. */
export interface Guard {
  readonly manager: Manager;
  readonly filter: HttpFilter;
  readonly index: number;
  readonly place: Place;
  /** Routes of its connection manager that lead to MCP clusters. */
  readonly routes: readonly Route[];
}

export interface World {
  readonly dump: Dump;
  readonly expected: Expected;
  readonly managers: readonly Manager[];
  readonly proxies: readonly TcpProxy[];
  readonly routes: readonly Route[];
  readonly guards: readonly Guard[];
  /** Names of clusters. */
  readonly mcp: ReadonlySet<string>;
  readonly authz: ReadonlySet<string>;
}

export function worldOf(dump: Dump, expected: Expected): World {
  const { managers, proxies } = chainsOf(dump);
  const routes = managers.flatMap(routesOf);
  const filters = managers.flatMap((manager) =>
    [...manager.filters.entries()].flatMap(([index, filter]) =>
      isExtAuthz(filter) ? [{ manager, filter, index }] : [],
    ),
  );
  const guards = oursOf(filters, { dump, expected });
  const authz = new Set(guards.map(({ filter }) => targetOf(filter)).filter((name) => dump.clusters.has(name)));
  const mcp = mcpClusters({ dump, expected, routes, guards, authz, proxies });
  return {
    ...{ dump, expected, managers, proxies, routes, mcp, authz },
    guards: guards.map(({ manager, filter, index }) => ({
      ...{ manager, filter, index },
      place: { ...manager.place, filter: filter.name },
      routes: routes.filter((route) => route.manager === manager && leadsTo(route, mcp)),
    })),
  };
}

export function leadsTo({ destinations }: Route, clusters: ReadonlySet<string>): boolean {
  return destinations.some(({ cluster }) => cluster !== null && clusters.has(cluster));
}

/** Guards whose connection manager has routes to MCP clusters: settings of others are no matter of ours. */
export function guardsInUse({ guards }: World): Guard[] {
  return guards.filter(({ filter, routes }) => routes.some((route) => runsOn(filter, route)));
}

/** Connection managers with a guard that is in use. */
export function guardedManagers(world: World): Manager[] {
  return [...new Set(guardsInUse(world).map(({ manager }) => manager))];
}

type Placed = Omit<Guard, "place" | "routes">;

function isExtAuthz({ type, isKnown, name }: HttpFilter): boolean {
  return type === EXT_AUTHZ_TYPE || (!isKnown && name.startsWith("envoy.filters.http.ext_authz"));
}

/** Name of the cluster that a filter asks, or the address of Google's client. */
export function targetOf({ fields }: HttpFilter): string {
  const service = at(fields, "grpc_service");
  return textAt(service, "envoy_grpc", "cluster_name") || textAt(service, "google_grpc", "target_uri");
}

/** With a configuration, those that ask its serve, if any can be told; without, each that speaks gRPC. */
function oursOf(filters: readonly Placed[], { dump, expected }: Pick<World, "dump" | "expected">): readonly Placed[] {
  const speaking = filters.filter(({ filter }) => !hasAt(filter.fields, "http_service"));
  const named = speaking.filter(({ filter }) => {
    const target = targetOf(filter);
    const addresses = hasAt(filter.fields, "grpc_service", "google_grpc") ? [target] : addressesOf(dump, target);
    return target === "mcp_authz" || addresses.some((address) => has(expected.authz, address));
  });
  return named.length > 0 ? named : speaking;
}

function has(addresses: ReadonlySet<string>, address: string): boolean {
  if (addresses.has(address)) return true;
  const short = withoutZone(address);
  return [...addresses].some((one) => withoutZone(one) === short);
}

const MCP_NAME = /(?:^|[^a-z])mcp(?:[^a-z]|$)/i;
const MCP_PATH = /(?:^|[/|(])(?:mcp|sse)(?:$|[/)|$?])/;

type Known = Pick<World, "dump" | "expected" | "routes" | "authz" | "proxies"> & { readonly guards: readonly Placed[] };

/** Clusters of MCP servers and of the broker. */
function mcpClusters(known: Known): Set<string> {
  const { dump, expected, routes, authz } = known;
  const named = [...dump.clusters.keys()].filter(
    (name) => expected.isPrinted(name) || addressesOf(dump, name).some((address) => has(expected.targets, address)),
  );
  const routed = routes.flatMap((route) => {
    const isMcp = isMcpRoute(known, route);
    const isNamedSo = (name: string) => !expected.hasConfig && MCP_NAME.test(name);
    const names = route.destinations.flatMap(({ cluster }) => cluster ?? []);
    return names.filter((name) => isMcp || isNamedSo(name));
  });
  const proxied = known.proxies
    .flatMap(({ clusters }) => clusters)
    .filter((name) => !expected.hasConfig && MCP_NAME.test(name));
  return new Set([...named, ...routed, ...proxied].filter((name) => !authz.has(name)));
}

/** A configuration names its servers; without one, what the Check guards is MCP, and what looks like it. */
function isMcpRoute({ expected, guards }: Known, route: Route): boolean {
  if (isNamedByCheck(route, guards)) return true;
  return !expected.hasConfig && (looksLikeMcp(route) || isChecked(route, guards));
}

function isChecked(route: Route, guards: readonly Placed[]): boolean {
  return guards.some(({ manager, filter }) => manager === route.manager && runsOn(filter, route));
}

/** Its match wants the metadata that the Check sets (`mcp.route`). */
export function isNamedByCheck({ fields }: Route, guards: readonly Pick<Guard, "filter">[]): boolean {
  const names = new Set(guards.map(({ filter }) => filter.name));
  return listAt(fields, "match", "dynamic_metadata").some(
    (matcher) => names.has(textAt(matcher, "filter")) && textAt(listAt(matcher, "path")[0], "key") === "mcp",
  );
}

function looksLikeMcp({ fields }: Route): boolean {
  const metadata = Object.keys(fieldsOf(at(fields, "metadata", "filter_metadata")));
  return MCP_PATH.test(pathOf(fields)) || metadata.some((name) => MCP_NAME.test(name));
}
