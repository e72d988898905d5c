// Listeners of the printed Envoy: clients, and operators (readiness and metrics). Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/best_practices/edge
import { callerHeaders } from "../config/callers.ts";
import { managedOf } from "../config/settings.ts";
import type { Config } from "../config/schema.ts";
import { bodyBudgetFilter } from "./body-budget.ts";
import { callerFilter } from "./caller-shards.ts";
import { decisionTimeoutMs, extAuthzFilter } from "./ext-authz.ts";
import { accessLog, localReplies } from "./local-replies.ts";
import { serverResponseFilter } from "./server-responses.ts";
import { duration, PAUSE_SECONDS, REQUEST_SECONDS, socketAddress, typed } from "./values.ts";

export const HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER = typed("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", {
  suppress_envoy_headers: true, // towards servers and clients
});

/** Managed headers that the Check reads; all others are removed before routing. */
export const CHECK_READS = new Set(["authorization", "mcp-session-id"]);
/** Headers that upstream servers are known to trust. */
const TRUSTED_BY_UPSTREAMS = [
  "x-request-id",
  "x-real-ip",
  "forwarded",
  "x-forwarded-host",
  "x-forwarded-prefix",
  "x-forwarded-user",
  "x-forwarded-email",
  "x-forwarded-groups",
  "x-forwarded-access-token",
  "x-original-url",
  "x-rewrite-url",
  "x-mcp-authorized",
];

/** Of one request, Envoy's own headers among them. */
export const MAX_HEADERS = 100;
export const MAX_HEADERS_KIB = 64;
/** Of one HTTP/2 connection. */
export const MAX_STREAMS = 32;
const FIRST_BYTES = "10s";
const HTTP_INSPECTOR = typed(
  "envoy.filters.listener.http_inspector",
  "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
  {},
);
const TLS_INSPECTOR = typed(
  "envoy.filters.listener.tls_inspector",
  "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
  {},
);

/** The listener of clients. @param routes the member of the connection manager that has the routes, or names their source */
export function publicListener(config: Config, routes: object): object {
  const { listen, tls } = config.envoy;
  const chain = {
    filters: [typed("envoy.filters.network.http_connection_manager", HCM, connectionManager(config, routes))],
  };
  const overTls = (files: NonNullable<typeof tls.listen>) => ({
    ...chain,
    transport_socket: downstreamTls(files),
    transport_socket_connect_timeout: FIRST_BYTES, // of the whole handshake
  });
  return {
    name: "public",
    address: socketAddress(listen),
    enable_reuse_port: false, // a second Envoy on the port must fail, not share the traffic
    max_connections_to_accept_per_socket_event: 16,
    per_connection_buffer_limit_bytes: 16_384,
    // The inspector waits for the first bytes; after the timeout a connection without any is closed.
    listener_filters: [tls.listen === null ? HTTP_INSPECTOR : TLS_INSPECTOR],
    listener_filters_timeout: FIRST_BYTES,
    filter_chains: [tls.listen === null ? chain : overTls(tls.listen)],
  };
}

function connectionManager(config: Config, routes: object): object {
  return {
    stat_prefix: "public",
    codec_type: "AUTO",
    use_remote_address: true,
    xff_num_trusted_hops: config.envoy.trustedHops,
    generate_request_id: true,
    preserve_external_request_id: false,
    always_set_request_id_in_response: true,
    forward_client_cert_details: "SANITIZE",
    early_header_mutation_extensions: [earlyStrip(config)],
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: "REJECT_REQUEST",
    strip_any_host_port: true,
    strip_trailing_host_dot: true,
    max_request_headers_kb: MAX_HEADERS_KIB,
    common_http_protocol_options: {
      headers_with_underscores_action: "REJECT_REQUEST",
      max_headers_count: MAX_HEADERS,
      idle_timeout: "60s",
    },
    http2_protocol_options: {
      allow_connect: false,
      max_concurrent_streams: MAX_STREAMS,
      initial_stream_window_size: 65_536,
      initial_connection_window_size: 131_072,
    },
    // No upgrade_configs: an upgrade gets 403 here, CONNECT 404. request_timeout covers the reception only: safe for SSE.
    request_headers_timeout: "10s",
    request_timeout: `${REQUEST_SECONDS}s`,
    // Until the Check has named a route, whose own idle_timeout takes over: a pause of the body, and the Check itself.
    stream_idle_timeout: duration(PAUSE_SECONDS * 1000 + decisionTimeoutMs(config)),
    local_reply_config: localReplies(config),
    access_log: [accessLog()],
    ...routes,
    http_filters: [
      // Before ext_authz: without it the last frame of an HTTP/2 body passes over the limit, unseen. And before the budget:
      // a length that is refused at once must cost none of it.
      typed("envoy.filters.http.body_size_limit", "envoy.extensions.filters.http.body_size_limit.v3.BodySizeLimit", {
        max_request_bytes: config.limits.bodyBytes,
      }),
      bodyBudgetFilter(config),
      extAuthzFilter(config),
      callerFilter(),
      serverResponseFilter(),
      ROUTER,
    ],
  };
}

/** Names of the client's headers that nobody behind Envoy may see, serve among them; all that begin with x-envoy- beside them. */
export function strippedHeaders(config: Config): string[] {
  // The Check removes them again, from what goes to an MCP endpoint.
  const passing = config.policy.envoy?.passHeaders ?? [];
  const read = new Set([...CHECK_READS, ...callerHeaders(config), ...passing]);
  return [...new Set([...managedOf(config), ...TRUSTED_BY_UPSTREAMS])].filter((name) => !read.has(name)).sort();
}

export const STRIPPED_PREFIX = "x-envoy-";

/** Early header mutation: before routing and before every filter. */
export function earlyStrip(config: Config): object {
  const names = strippedHeaders(config);
  return typed("strip_managed", "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", {
    mutations: [
      ...names.map((remove) => ({ remove })),
      { remove_on_match: { key_matcher: { prefix: STRIPPED_PREFIX, ignore_case: true } } },
    ],
  });
}

function downstreamTls({ certFile, keyFile, clientCaFile }: NonNullable<Config["envoy"]["tls"]["listen"]>): object {
  return typed("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    common_tls_context: {
      alpn_protocols: ["h2", "http/1.1"],
      tls_params: { tls_minimum_protocol_version: "TLSv1_2" },
      tls_certificates: [{ certificate_chain: { filename: certFile }, private_key: { filename: keyFile } }],
      ...(clientCaFile !== null && { validation_context: { trusted_ca: { filename: clientCaFile } } }),
    },
    ...(clientCaFile !== null && { require_client_certificate: false }),
  });
}

export const OPS_CONNECTIONS = 64;

/** Readiness and metrics for operators; the rest of the admin interface stays on its socket. */
export function opsListener(config: Config): object {
  const route = (path: string) => ({
    match: { path, headers: [{ name: ":method", string_match: { exact: "GET" } }] },
    route: { cluster: "admin" },
  });
  return {
    name: "ops",
    address: socketAddress(config.envoy.opsListen),
    enable_reuse_port: false,
    // Probes are answered when clients have taken all connections, and all memory. Its own connections are few.
    ignore_global_conn_limit: true,
    bypass_overload_manager: true,
    filter_chains: [
      {
        filters: [
          typed(
            "envoy.filters.network.connection_limit",
            "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
            { stat_prefix: "ops", max_connections: OPS_CONNECTIONS },
          ),
          typed("envoy.filters.network.http_connection_manager", HCM, {
            stat_prefix: "ops",
            common_http_protocol_options: { idle_timeout: "60s" },
            request_headers_timeout: "10s",
            request_timeout: "10s",
            normalize_path: true,
            path_with_escaped_slashes_action: "REJECT_REQUEST",
            route_config: {
              virtual_hosts: [{ name: "ops", domains: ["*"], routes: [route("/ready"), route("/stats/prometheus")] }],
            },
            http_filters: [ROUTER],
          }),
        ],
      },
    ],
  };
}
