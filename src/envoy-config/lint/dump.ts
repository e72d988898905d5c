// The parts of an Envoy's configuration that lint reads, from `/config_dump` or from the file that Envoy starts with. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/admin/v3/config_dump.proto
import { at, fieldsOf, hasAt, listAt, textAt, type Fields } from "./fields.ts";

export interface Dump {
  readonly bootstrap: Fields;
  readonly listeners: readonly Fields[];
  readonly clusters: ReadonlyMap<string, Fields>;
  /** By name: what RDS has brought. */
  readonly routes: ReadonlyMap<string, Fields>;
  /** By the name of their set: names of route configurations, or route configurations in place. */
  readonly scopes: ReadonlyMap<string, readonly Fields[]>;
  /** By name: filters that ECDS has brought, as Any. */
  readonly filters: ReadonlyMap<string, unknown>;
  /** By cluster: endpoints that EDS or DNS has brought, with `?include_eds`. */
  readonly endpoints: ReadonlyMap<string, Fields>;
}

/** A text that is neither a dump nor a configuration. The message says why. */
export class UnreadableDump extends Error {}

/** @param root what a JSON or YAML reader made of the text @throws {UnreadableDump} */
export function dumpOf(root: unknown): Dump {
  if (hasAt(root, "configs")) return dumpOfSections(listAt(root, "configs"));
  if (hasAt(root, "static_resources")) return dumpOfSections([{ "@type": "BootstrapConfigDump", bootstrap: root }]);
  const hint = hasAt(root, "staticResources") ? "; write names in snake case (static_resources)" : "";
  throw new UnreadableDump(
    `neither "configs" nor "static_resources" is there: give what Envoy's admin interface says at /config_dump?include_eds${hint}`,
  );
}

function dumpOfSections(sections: readonly Fields[]): Dump {
  const of = (type: string) => sections.filter((section) => textAt(section, "@type").endsWith(type));
  const all = (type: string, ...lists: readonly string[]) =>
    of(type).flatMap((section) => lists.flatMap((list) => listAt(section, list)));
  const [bootstrapDump] = of("BootstrapConfigDump");
  const bootstrap = fieldsOf(at(bootstrapDump, "bootstrap"));
  const fromFile = (list: string) => listAt(bootstrap, "static_resources", list);
  const listenerEntries = all("ListenersConfigDump", "static_listeners", "dynamic_listeners");
  const listeners = listenerEntries.flatMap((entry) =>
    [at(entry, "listener"), at(entry, "active_state", "listener"), at(entry, "warming_state", "listener")].flatMap(
      (one) => (one === undefined ? [] : [fieldsOf(one)]),
    ),
  );
  const clusters = all("ClustersConfigDump", "static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters");
  const hasListeners = of("ListenersConfigDump").length > 0;
  if (sections.length === 0 || (!hasListeners && fromFile("listeners").length === 0))
    throw new UnreadableDump("there is no listener in it: give the whole /config_dump, without ?resource= and ?mask=");
  return {
    bootstrap,
    listeners: hasListeners ? listeners : fromFile("listeners"),
    clusters: byName(hasListeners ? clusters.map((entry) => fieldsOf(at(entry, "cluster"))) : fromFile("clusters")),
    routes: byName(
      all("RoutesConfigDump", "dynamic_route_configs").map((entry) => fieldsOf(at(entry, "route_config"))),
    ),
    scopes: scopesOf(all("ScopedRoutesConfigDump", "inline_scoped_route_configs", "dynamic_scoped_route_configs")),
    filters: new Map(
      all("EcdsConfigDump", "ecds_filters").map((entry) => {
        const filter = at(entry, "ecds_filter");
        return [textAt(filter, "name"), at(filter, "typed_config")];
      }),
    ),
    endpoints: new Map(
      all("EndpointsConfigDump", "static_endpoint_configs", "dynamic_endpoint_configs").map((entry) => {
        const assignment = fieldsOf(at(entry, "endpoint_config"));
        return [textAt(assignment, "cluster_name"), assignment];
      }),
    ),
  };
}

function byName(all: readonly Fields[]): ReadonlyMap<string, Fields> {
  return new Map(all.map((one) => [textAt(one, "name"), one]));
}

function scopesOf(entries: readonly Fields[]): ReadonlyMap<string, readonly Fields[]> {
  return new Map(
    entries.map((entry) => {
      const scopes = listAt(entry, "scoped_route_configs");
      return [textAt(entry, "name"), scopes];
    }),
  );
}
