// What `mcp-authz envoy-config` prints: a bootstrap of Envoy 1.40, whole. Pure.
import { stringify } from "yaml";
import type { Config } from "../config/schema.ts";
import { clusters } from "./clusters.ts";
import { opsListener, publicListener } from "./listeners.ts";
import { virtualHosts } from "./routes.ts";
import { memoryAllocator, overloadManager } from "./overload.ts";
import { socketAddress } from "./values.ts";

/** A complete Envoy 1.40 bootstrap for our configuration: the front that the threat model assumes. */
export function envoyConfig(config: Config): object {
  return {
    ...envoyBootstrap(config),
    static_resources: {
      listeners: [publicListener(config, staticRoutes(config)), opsListener(config)],
      clusters: clusters(config),
    },
  };
}

/** The part of the bootstrap beside listeners, routes and clusters. */
export function envoyBootstrap(config: Config): object {
  return {
    node: { id: "mcp-edge", cluster: "mcp-edge" },
    // Never on TCP: /quitquitquit and /config_dump are there.
    admin: {
      address: socketAddress({ kind: "unix", path: config.envoy.adminSocket }),
      ignore_global_conn_limit: true, // the ops listener asks it
    },
    memory_allocator_manager: memoryAllocator(config.envoy),
    overload_manager: overloadManager(config),
  };
}

function staticRoutes(config: Config): object {
  return { route_config: { name: "public", virtual_hosts: virtualHosts(config) } };
}

export function envoyConfigYaml(config: Config): string {
  const head = [
    "# Envoy 1.40 for mcp-authz, printed by `mcp-authz envoy-config`. Do not edit: print it anew.",
    "# Run: envoy -c THIS_FILE",
    "",
  ].join("\n");
  return head + stringify(envoyConfig(config), { aliasDuplicateObjects: false, lineWidth: 0 });
}
