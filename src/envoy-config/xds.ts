// The printed Envoy in parts that it follows by itself: listener, routes and clusters as files that it watches. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/start/quick-start/configuration-dynamic-filesystem
import { join } from "node:path";
import type { Config } from "../config/schema.ts";
import { clusters } from "./clusters.ts";
import { envoyBootstrap } from "./envoy-config.ts";
import { opsListener, publicListener } from "./listeners.ts";
import { virtualHosts } from "./routes.ts";

/** The name of a watched file in the folder. Envoy reads one again when another file is renamed to it. */
export const XDS_FILES = { clusters: "clusters.json", listeners: "listeners.json", routes: "routes.json" } as const;

/** A resource of xDS, as an Any in JSON. */
export type Resource = Readonly<Record<string, unknown>>;

export interface XdsConfig {
  /** What Envoy is started with. Its text does not depend on the servers. */
  readonly bootstrap: object;
  readonly clusters: readonly Resource[];
  readonly listeners: readonly Resource[];
  readonly routes: readonly Resource[];
}

const ROUTES = "public";
const ADMIN = "admin";

/** @param folder absolute path, as Envoy sees it, of the folder with the watched files */
export function xdsConfig(config: Config, folder: string): XdsConfig {
  const all = clusters(config) as Resource[];
  const isOwn = ({ name }: Resource) => name === ADMIN;
  const rds = { route_config_name: ROUTES, config_source: source(folder, XDS_FILES.routes) };
  return {
    bootstrap: {
      ...envoyBootstrap(config),
      static_resources: { listeners: [opsListener(config)], clusters: all.filter(isOwn) },
      dynamic_resources: {
        cds_config: source(folder, XDS_FILES.clusters),
        lds_config: source(folder, XDS_FILES.listeners),
      },
    },
    clusters: all.filter((each) => !isOwn(each)).map((each) => resource("envoy.config.cluster.v3.Cluster", each)),
    listeners: [resource("envoy.config.listener.v3.Listener", publicListener(config, { rds }))],
    routes: [
      resource("envoy.config.route.v3.RouteConfiguration", { name: ROUTES, virtual_hosts: virtualHosts(config) }),
    ],
  };
}

function source(folder: string, file: string): object {
  const path_config_source = { path: join(folder, file), watched_directory: { path: folder } };
  return { path_config_source, resource_api_version: "V3" };
}

function resource(type: string, fields: object): Resource {
  return { "@type": `type.googleapis.com/${type}`, ...fields };
}
