// A bound per caller on direct routes: callers are spread over clusters of one server, each with limits of its own. Pure.
// Envoy 1.40 counts requests per cluster and not per caller; a caller's cluster is chosen by the hash of the subject.
import type { Config } from "../config/schema.ts";
import { EXT_AUTHZ, serverCluster, typed, UNLIMITED } from "./values.ts";

/** A caller who takes all of her share takes it from one in so many others. */
const SHARDS = 16;
const CALLER = "mcp.caller";

/** The clusters of a server, by name: one where no call goes straight. */
export function shardNames(config: Config, server: string): string[] {
  const cluster = serverCluster(server);
  if ((config.servers[server]?.callRouting ?? config.callRouting) !== "direct") return [cluster];
  return Array.from({ length: SHARDS }, (_, i) => `${cluster}_${i}`);
}

/** So many calls of one caller as the broker carries. What is beyond waits for nothing: Envoy refuses it. */
export function shardLimits({ limits: { callsPerCaller: calls } }: Config): object {
  // Calls are what is bounded. Each worker keeps connections of its own, and idle ones of the others would count: a worker
  // that came too late would have one, on which calls wait for each other.
  return { thresholds: [{ max_requests: calls, max_pending_requests: calls, max_connections: UNLIMITED }] };
}

/** Which cluster a route leads to. */
export function shardOf(config: Config, server: string): object {
  const clusters = shardNames(config, server).map((name) => ({ name, weight: 1 }));
  return {
    weighted_clusters: { clusters, use_hash_policy: true },
    hash_policy: [{ filter_state: { key: CALLER }, terminal: true }],
  };
}

/** Keeps the subject of our answer where the hash finds it. After ext_authz; the route is chosen anew. */
export function callerFilter(): object {
  return typed("envoy.filters.http.set_filter_state", "envoy.extensions.filters.http.set_filter_state.v3.Config", {
    on_request_headers: [
      {
        object_key: CALLER,
        factory_key: "envoy.hashable_string",
        format_string: {
          text_format_source: { inline_string: `%DYNAMIC_METADATA(${EXT_AUTHZ}:mcp:subject)%` },
          omit_empty_values: true,
        },
        skip_if_empty: true,
      },
    ],
    clear_route_cache: true,
  });
}
