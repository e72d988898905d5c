// A bound per caller on direct routes: callers are spread over clusters of one server, each with limits of its own. Pure.
// Envoy 1.40 counts requests per cluster and not per caller; a caller's cluster is chosen by the hash of the subject.
import type { Config, ServerConfig } from "../config/schema.ts";
import { directCluster, EXT_AUTHZ, typed, UNLIMITED } from "./values.ts";

/** A caller who fills a shard takes its calls from one in 16 other callers. */
const SHARDS = 16;
const CALLER = "mcp.caller";

/**
 * The clusters of a server, by name: one where no call goes straight. Another URL has other clusters: Envoy takes routes and
 * clusters each at its own time.
 */
export function shardNames(config: Config, server: string, { url, callRouting }: ServerConfig): string[] {
  const cluster = directCluster(server, url);
  if ((callRouting ?? config.callRouting) !== "direct") return [cluster];
  return Array.from({ length: SHARDS }, (_, i) => `${cluster}_${i}`);
}

/** As many calls of one caller as the broker relays. Envoy refuses those beyond at once. */
export function shardLimits({ limits: { callsPerCaller: calls } }: Config): object {
  // Requests are bounded, not connections: each worker has its own, and idle ones of other workers count, so that a worker
  // could be left with a single connection, on which calls wait for each other.
  return { thresholds: [{ max_requests: calls, max_pending_requests: calls, max_connections: UNLIMITED }] };
}

/** The cluster of a direct route, by the hash of the subject. */
export function shardOf(...of: Parameters<typeof shardNames>): object {
  const clusters = shardNames(...of).map((name) => ({ name, weight: 1 }));
  return {
    weighted_clusters: { clusters, use_hash_policy: true },
    hash_policy: [{ filter_state: { key: CALLER }, terminal: true }],
  };
}

/** Copies the subject from the Check's metadata into filter state, which the hash reads. After ext_authz; clears the route. */
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
