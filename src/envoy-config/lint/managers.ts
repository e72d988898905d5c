// Every connection manager of every listener, with its filters and routes resolved through RDS, scopes and ECDS. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto
import type { Dump } from "./dump.ts";
import type { Place } from "./finding.ts";
import { at, fieldsOf, hasAt, isTrueAt, listAt, textAt, textsAt, typedOf, type Fields } from "./fields.ts";

/** One HTTP filter of a chain. */
export interface HttpFilter {
  readonly name: string;
  /** Full name of its type, by which it is known: its name is anybody's choice. */
  readonly type: string;
  readonly fields: Fields;
  /** Off unless a route turns it on. */
  readonly isOff: boolean;
  /** A matcher decides on each request whether it runs. */
  readonly isMatched: boolean;
  /** False where ECDS names a filter that is not in the dump. */
  readonly isKnown: boolean;
}

export interface Manager {
  readonly place: Place;
  readonly fields: Fields;
  readonly filters: readonly HttpFilter[];
  readonly tables: readonly Fields[];
  /** What names routes that are not in the dump. */
  readonly missing: readonly string[];
  readonly address: unknown;
}

/** A filter of a network that passes bytes on. */
export interface TcpProxy {
  readonly place: Place;
  readonly clusters: readonly string[];
}

export interface Chains {
  readonly managers: readonly Manager[];
  readonly proxies: readonly TcpProxy[];
}

const MANAGER = "HttpConnectionManager";

export function chainsOf(dump: Dump): Chains {
  const managers: Manager[] = [];
  const proxies: TcpProxy[] = [];
  for (const { listener, place, filters } of dump.listeners.flatMap(networkChains)) {
    for (const filter of filters) {
      const { type, fields } = resolve(dump, filter);
      if (type.endsWith(`.${MANAGER}`)) managers.push(managerOf(dump, { listener, place, fields }));
      else if (type.endsWith(".TcpProxy")) proxies.push({ place, clusters: clustersOfProxy(fields) });
    }
  }
  return { managers, proxies };
}

interface NetworkChain {
  readonly listener: Fields;
  readonly place: Place;
  readonly filters: readonly Fields[];
}

function networkChains(listener: Fields): NetworkChain[] {
  const name = textAt(listener, "name");
  const chains = [...listAt(listener, "filter_chains").entries()].map(
    ([i, chain]) => [textAt(chain, "name") || String(i), chain] as const,
  );
  if (hasAt(listener, "default_filter_chain"))
    chains.push(["default", fieldsOf(at(listener, "default_filter_chain"))] as const);
  const all = chains.map(([filterChain, chain]) => ({
    listener,
    place: { listener: name, filterChain },
    filters: listAt(chain, "filters"),
  }));
  const api = at(listener, "api_listener", "api_listener");
  if (api === undefined) return all;
  return [...all, { listener, place: { listener: name }, filters: [{ name: MANAGER, typed_config: api }] }];
}

/** The configuration of a filter, wherever it comes from. */
function resolve(dump: Dump, filter: Fields): { type: string; fields: Fields; isKnown: boolean } {
  if (!hasAt(filter, "config_discovery")) return { ...typedOf(at(filter, "typed_config")), isKnown: true };
  const found = dump.filters.get(textAt(filter, "name")) ?? at(filter, "config_discovery", "default_config");
  if (found !== undefined) return { ...typedOf(found), isKnown: true };
  const [url = ""] = textsAt(filter, "config_discovery", "type_urls");
  return { type: url.slice(url.lastIndexOf("/") + 1), fields: {}, isKnown: false };
}

function clustersOfProxy(fields: Fields): string[] {
  const weighted = listAt(fields, "weighted_clusters", "clusters");
  return [textAt(fields, "cluster"), ...weighted.map((one) => textAt(one, "name"))].filter((name) => name !== "");
}

function managerOf(dump: Dump, { listener, place, fields }: Omit<NetworkChain, "filters"> & { fields: Fields }) {
  const { tables, missing } = tablesOf(dump, fields);
  const filters = listAt(fields, "http_filters").map((filter) => httpFilter(dump, filter));
  return { place, fields, filters, tables, missing, address: at(listener, "address") };
}

const MATCHED = "envoy.extensions.common.matching.v3.ExtensionWithMatcher";

function httpFilter(dump: Dump, filter: Fields): HttpFilter {
  const found = resolve(dump, filter);
  const isMatched = found.type === MATCHED;
  const inner = isMatched ? typedOf(at(found.fields, "extension_config", "typed_config")) : found;
  return {
    name: textAt(filter, "name"),
    type: inner.type,
    fields: inner.fields,
    isOff: isTrueAt(filter, "disabled"),
    isMatched,
    isKnown: found.isKnown,
  };
}

function tablesOf(dump: Dump, manager: Fields): { tables: Fields[]; missing: string[] } {
  if (hasAt(manager, "route_config")) return { tables: [fieldsOf(at(manager, "route_config"))], missing: [] };
  const inline = listAt(manager, "scoped_routes", "scoped_route_configurations_list", "scoped_route_configurations");
  const set = textAt(manager, "scoped_routes", "name");
  const scopes = [...inline, ...(dump.scopes.get(set) ?? [])];
  if (hasAt(manager, "scoped_routes") && scopes.length === 0) return { tables: [], missing: [`scoped routes ${set}`] };
  const rds = textAt(manager, "rds", "route_config_name");
  const tables: Fields[] = scopes.flatMap((scope) =>
    hasAt(scope, "route_configuration") ? [fieldsOf(at(scope, "route_configuration"))] : [],
  );
  const missing: string[] = [];
  for (const name of [...scopes.map((scope) => textAt(scope, "route_configuration_name")), rds]) {
    const table = dump.routes.get(name);
    if (name !== "" && table === undefined) missing.push(`route configuration ${name}`);
    if (table !== undefined) tables.push(table);
  }
  return { tables, missing };
}
