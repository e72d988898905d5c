// The ext_authz filter of the printed Envoy: how Envoy asks serve. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/filters/http/ext_authz/v3/ext_authz.proto
import type { Config } from "../config/schema.ts";
import { duration, EXT_AUTHZ, typed } from "./values.ts";

/** serve answers within 80 % of Envoy's timeout (threat model: M4). */
const TIMEOUT_FACTOR = 1.25;
/** For the network, both ways. */
const NETWORK_MARGIN_MS = 200;

/** What no decision may change of a request. */
export const MUTATION_RULES = {
  disallow_expression: {
    regex: "(:.*|host|content-length|transfer-encoding|connection|te|trailer|upgrade|keep-alive|proxy-connection)",
  },
  allow_envoy: true,
  disallow_is_error: true,
} as const;

/** Envoy's timeout for a decision. */
export function decisionTimeoutMs({ checkTimeoutMs }: Config): number {
  return Math.ceil(checkTimeoutMs * TIMEOUT_FACTOR) + NETWORK_MARGIN_MS;
}

/** The filter. Each field has its reason in the threat model: M1–M4, C04–C08, C15–C17. */
export function extAuthzFilter(config: Config): object {
  return typed(EXT_AUTHZ, "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", {
    transport_api_version: "V3",
    stat_prefix: "mcp",
    grpc_service: {
      envoy_grpc: { cluster_name: "mcp_authz", authority: "mcp-authz", skip_envoy_headers: true },
      timeout: duration(decisionTimeoutMs(config)),
      // No retry_back_off: its interval would cap the timeout.
      retry_policy: { num_retries: 1, retry_on: "connect-failure,refused-stream,reset-before-request" },
    },
    failure_mode_allow: false,
    status_on_error: { code: "ServiceUnavailable" },
    with_request_body: {
      max_request_bytes: config.limits.bodyBytes,
      allow_partial_message: false,
      pack_as_bytes: true,
    },
    encode_raw_headers: true,
    validate_mutations: true,
    decoder_header_mutation_rules: MUTATION_RULES,
    clear_route_cache: true, // so that the routes see the metadata of the decision
    emit_filter_state_stats: true,
    max_denied_response_body_bytes: 65_536,
    enforce_response_header_limits: true,
    deny_at_disable: { default_value: true, runtime_key: "ext_authz.deny_at_disable" },
  });
}
