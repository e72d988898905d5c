// What Istio has no field for, as patches of its EnvoyFilter: they apply to one gateway. Pure.
// https://istio.io/latest/docs/reference/config/networking/envoy-filter/
import type { Config } from "../../config/schema.ts";
import { decisionTimeoutMs, MUTATION_RULES } from "../ext-authz.ts";
import { earlyStrip, HCM, MAX_HEADERS, MAX_HEADERS_KIB, MAX_STREAMS } from "../listeners.ts";
import { duration, EXT_AUTHZ, PAUSE_SECONDS, REQUEST_SECONDS } from "../values.ts";
import { bodyLimitFilter } from "./common.ts";

const EXT_AUTHZ_TYPE = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";
const CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager";

export function edgePatches(config: Config): object[] {
  return [
    {
      applyTo: "NETWORK_FILTER",
      match: at({ name: CONNECTION_MANAGER }),
      patch: {
        operation: "MERGE",
        value: { typed_config: { "@type": `type.googleapis.com/${HCM}`, ...connectionManager(config) } },
      },
    },
    {
      applyTo: "HTTP_FILTER",
      match: at({ name: CONNECTION_MANAGER, subFilter: { name: EXT_AUTHZ } }),
      patch: {
        operation: "MERGE",
        value: {
          typed_config: {
            "@type": `type.googleapis.com/${EXT_AUTHZ_TYPE}`,
            encode_raw_headers: true,
            validate_mutations: true,
            decoder_header_mutation_rules: MUTATION_RULES,
          },
        },
      },
    },
    {
      // Without it the last frame of an HTTP/2 body passes over the limit, unseen.
      applyTo: "HTTP_FILTER",
      match: at({ name: CONNECTION_MANAGER }),
      patch: { operation: "INSERT_FIRST", value: bodyLimitFilter(config) },
    },
    {
      applyTo: "HTTP_ROUTE",
      match: { context: "GATEWAY" },
      patch: { operation: "MERGE", value: { route: stream(config) } },
    },
  ];
}

function at(filter: object): object {
  return { context: "GATEWAY", listener: { filterChain: { filter } } };
}

function connectionManager(config: Config): object {
  return {
    early_header_mutation_extensions: [earlyStrip(config)], // before routing and every filter
    merge_slashes: true,
    path_with_escaped_slashes_action: "REJECT_REQUEST", // default: they stay
    xff_num_trusted_hops: config.envoy.trustedHops,
    max_request_headers_kb: MAX_HEADERS_KIB,
    common_http_protocol_options: {
      headers_with_underscores_action: "REJECT_REQUEST", // default: they pass
      max_headers_count: MAX_HEADERS,
      idle_timeout: "60s",
    },
    http2_protocol_options: {
      max_concurrent_streams: MAX_STREAMS,
      initial_stream_window_size: 65_536,
      initial_connection_window_size: 131_072,
    },
    request_headers_timeout: `${REQUEST_SECONDS}s`,
    request_timeout: `${REQUEST_SECONDS}s`, // of the reception alone: event streams go on
    stream_idle_timeout: duration(PAUSE_SECONDS * 1000 + decisionTimeoutMs(config)), // until the route's takes over
  };
}

function stream({ envoy }: Config): object {
  const seconds = `${envoy.maxStreamSeconds}s`;
  return { idle_timeout: seconds, max_stream_duration: { max_stream_duration: seconds } };
}
