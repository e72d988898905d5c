// Every route of every connection manager: where it leads, and what it says about a filter. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
import type { Place } from "./finding.ts";
import { at, fieldsOf, hasAt, isTrueAt, listAt, textAt, typedOf, type Fields } from "./fields.ts";
import type { HttpFilter, Manager } from "./managers.ts";

export interface Route {
  readonly manager: Manager;
  readonly place: Place;
  readonly fields: Fields;
  /** From the most specific level to the least: route, virtual host, route configuration. */
  readonly levels: readonly Fields[];
  readonly destinations: readonly Destination[];
  /** Copies of its requests go there. */
  readonly mirrors: readonly string[];
}

export interface Destination {
  /** Null where the request, or a plugin, chooses. */
  readonly cluster: string | null;
  readonly by: "name" | "header" | "plugin";
  /** The entry among weighted clusters, which has settings of its own. */
  readonly entry: Fields | null;
}

export function routesOf(manager: Manager): Route[] {
  return manager.tables.flatMap((table) =>
    listAt(table, "virtual_hosts").flatMap((virtualHost) =>
      routesIn(virtualHost).map((fields, i) => {
        const levels = [fields, virtualHost, table];
        return {
          manager,
          place: { ...manager.place, virtualHost: textAt(virtualHost, "name"), route: labelOf(fields, i) },
          fields,
          levels,
          destinations: destinationsOf(fields),
          mirrors: mirrorsOf(levels),
        };
      }),
    ),
  );
}

/** Those of a list, and those of a tree of matchers. */
function routesIn(virtualHost: Fields): readonly Fields[] {
  const listed = listAt(virtualHost, "routes");
  return hasAt(virtualHost, "matcher") ? [...listed, ...routesOfMatcher(at(virtualHost, "matcher"))] : listed;
}

function routesOfMatcher(value: unknown): Fields[] {
  if (Array.isArray(value)) return value.flatMap(routesOfMatcher);
  const { type, fields } = typedOf(value);
  if (type === "envoy.config.route.v3.Route") return [fields];
  if (type === "envoy.config.route.v3.RouteList") return [...listAt(fields, "routes")];
  return Object.values(fieldsOf(value)).flatMap((one) =>
    typeof one === "object" && one !== null ? routesOfMatcher(one) : [],
  );
}

/** The path that a route matches, as it is written. */
export function pathOf(route: Fields): string {
  const match = at(route, "match");
  const paths = ["path", "prefix", "path_separated_prefix"].map((kind) => textAt(match, kind));
  return paths.find((path) => path !== "") ?? textAt(match, "safe_regex", "regex");
}

function labelOf(route: Fields, i: number): string {
  const kinds = ["path", "prefix", "path_separated_prefix"];
  const kind = kinds.find((one) => textAt(route, "match", one) !== "") ?? "regex";
  const name = textAt(route, "name");
  const path = pathOf(route);
  return `${name === "" ? i + 1 : `${i + 1} "${name}"`}${path === "" ? "" : ` (${kind} ${path})`}`;
}

function destinationsOf(route: Fields): Destination[] {
  const action = at(route, "route");
  if (action === undefined) return [];
  const weighted = listAt(action, "weighted_clusters", "clusters");
  if (weighted.length > 0) return weighted.map((entry) => destination(entry, "name", entry));
  if (hasAt(action, "cluster_specifier_plugin") || hasAt(action, "inline_cluster_specifier_plugin"))
    return [{ cluster: null, by: "plugin", entry: null }];
  return [destination(action, "cluster", null)];
}

function destination(message: unknown, key: string, entry: Fields | null): Destination {
  if (textAt(message, "cluster_header") !== "") return { cluster: null, by: "header", entry };
  return { cluster: textAt(message, key), by: "name", entry };
}

function mirrorsOf([route, ...above]: readonly Fields[]): string[] {
  const levels = [fieldsOf(at(route, "route")), ...above];
  return levels
    .flatMap((level) => listAt(level, "request_mirror_policies"))
    .map((policy) => textAt(policy, "cluster") || `the one that header ${textAt(policy, "cluster_header")} names`);
}

/** What the most specific level says about a filter. */
interface FilterSetting {
  readonly isOff: boolean;
  readonly fields: Fields;
}

const FILTER_CONFIG = "envoy.config.route.v3.FilterConfig";

/** Null where no level says anything. */
export function settingOf(
  { levels }: Pick<Route, "levels">,
  filter: string,
  entry: Fields | null,
): FilterSetting | null {
  const all = entry === null ? levels : [entry, ...levels];
  const found = all.map((level) => at(level, "typed_per_filter_config", filter)).find((one) => one !== undefined);
  if (found === undefined) return null;
  const { type, fields } = typedOf(found);
  if (type !== FILTER_CONFIG) return { isOff: isTrueAt(fields, "disabled"), fields };
  const inner = typedOf(at(fields, "config")).fields;
  return { isOff: isTrueAt(fields, "disabled") || isTrueAt(inner, "disabled"), fields: inner };
}

/** Whether a filter of the chain runs for requests of a route. */
export function runsOn(filter: HttpFilter, route: Pick<Route, "levels">, entry: Fields | null = null): boolean {
  const setting = settingOf(route, filter.name, entry);
  return setting === null ? !filter.isOff : !setting.isOff;
}
