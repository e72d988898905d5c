// The forms in which a real Envoy shows one configuration (test/e2e/lint-envoy.test.ts holds them against one). Pure.

export type Root = Record<string, unknown>;

/** A member, by names and indices; made where there is none. */
export function node(value: unknown, ...path: readonly (string | number)[]): Root {
  let here = value as Root;
  for (const key of path) here = (here[key] ??= {}) as Root;
  return here;
}

export function nodes(value: unknown, ...path: readonly (string | number)[]): Root[] {
  const last = path.at(-1) ?? "";
  const parent = node(value, ...path.slice(0, -1));
  return (parent[last] ??= []) as Root[];
}

/** By its name, or by the end of the type of its configuration. */
export function named(all: readonly Root[], name: string): Root {
  const found = all.find((one) => one["name"] === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

export const listenerOf = (root: Root, name = "public") => named(nodes(root, "static_resources", "listeners"), name);
export const managerOf = (root: Root, listener = "public") =>
  node(nodes(listenerOf(root, listener), "filter_chains", 0, "filters").at(-1), "typed_config");
export const filterOf = (root: Root, end: string) =>
  named(nodes(managerOf(root), "http_filters"), `envoy.filters.http.${end}`);
export const authzOf = (root: Root) => node(filterOf(root, "ext_authz"), "typed_config");
export const clusterOf = (root: Root, name: string) => named(nodes(root, "static_resources", "clusters"), name);
export const hostOf = (root: Root) => node(managerOf(root), "route_config", "virtual_hosts", 0);
export const routesOf = (root: Root) => nodes(hostOf(root), "routes");

/** The file that Envoy starts with, and what its admin interface says at /config_dump. */
export const DUMP_FORMS: Readonly<Record<string, (bootstrap: Root) => Root>> = {
  "a bootstrap": (root) => root,
  "a dump of static resources": staticDump,
  "a dump of xDS": dynamicDump,
};

function section(type: string, fields: Root): Root {
  return { "@type": `type.googleapis.com/envoy.admin.v3.${type}ConfigDump`, ...fields };
}

function staticDump(root: Root): Root {
  const { listeners, clusters } = root["static_resources"] as Record<string, Root[]>;
  return {
    configs: [
      section("Bootstrap", { bootstrap: root }),
      section("Clusters", { static_clusters: clusters?.map((cluster) => ({ cluster })) }),
      section("Listeners", { static_listeners: listeners?.map((listener) => ({ listener })) }),
      section("ScopedRoutes", {}),
      section("Routes", {}),
      section("Secrets", {}),
    ],
  };
}

/** Listeners, clusters, routes and one filter as a control plane brings them. */
function dynamicDump(whole: Root): Root {
  const root = structuredClone(whole);
  const { listeners, clusters } = root["static_resources"] as Record<string, Root[]>;
  const apart = (listeners ?? []).flatMap((listener) =>
    nodes(listener, "filter_chains", 0, "filters").map((filter) =>
      takeApart(node(filter, "typed_config"), `routes of ${String(listener["name"])}`),
    ),
  );
  const { static_resources: _, ...bootstrap } = root;
  return {
    configs: [
      section("Bootstrap", { bootstrap }),
      section("Clusters", { dynamic_active_clusters: clusters?.map((cluster) => ({ version_info: "1", cluster })) }),
      section("Listeners", {
        dynamic_listeners: listeners?.map((listener) => ({ name: listener["name"], active_state: { listener } })),
      }),
      section("Routes", { dynamic_route_configs: apart.flatMap(({ routes }) => routes) }),
      section("Ecds", { ecds_filters: apart.flatMap(({ filters }) => filters) }),
    ],
  };
}

/** Takes routes and ext_authz out of a connection manager, which names their sources then. */
function takeApart(manager: Root, name: string): { routes: Root[]; filters: Root[] } {
  if (!("route_config" in manager)) return { routes: [], filters: [] };
  const routes = [{ route_config: { ...(manager["route_config"] as Root), name } }];
  delete manager["route_config"];
  manager["rds"] = { route_config_name: name, config_source: { ads: {} } };
  const checks = nodes(manager, "http_filters").filter((one) => one["name"] === "envoy.filters.http.ext_authz");
  const filters = checks.map((one) => {
    const ecds_filter = { name: one["name"], typed_config: one["typed_config"] };
    delete one["typed_config"];
    one["config_discovery"] = { config_source: { ads: {} }, type_urls: [] };
    return { ecds_filter };
  });
  return { routes, filters };
}
