// Faults of an Envoy before mcp-authz, each seeded into what envoy-config prints, with the rule that names it. Pure.
import { directCluster } from "../../src/envoy-config/values.ts";
import {
  authzOf,
  clusterOf,
  filterOf,
  hostOf,
  listenerOf,
  managerOf,
  node,
  nodes,
  routesOf,
  type Root,
} from "./envoy-dump.ts";

export interface Seed {
  readonly name: string;
  readonly seed: (root: Root) => void;
  /** The rule that must speak, and no other. */
  readonly rule: string;
  /** Parts of the place that each finding has. */
  readonly place: Readonly<Record<string, unknown>>;
  /** Only a configuration can tell. */
  readonly only?: "config";
}

/** The cluster of the server that the configuration names. */
const TICKETS = directCluster("tickets", "https://tickets.example.com/mcp");
const EXT_AUTHZ = "envoy.filters.http.ext_authz";
const PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute";
const OFF = { "@type": PER_ROUTE, disabled: true };
const FILTER_OFF = { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", disabled: true, config: {} };
const PUBLIC = { listener: "public", filterChain: "0" };
const VIRTUAL = { ...PUBLIC, virtualHost: "mcp" };
const FILTER = { ...PUBLIC, filter: EXT_AUTHZ };

const turnOff = (level: Root, how: object = OFF) => {
  node(level, "typed_per_filter_config")[EXT_AUTHZ] = how;
};
const brokerRoute = (root: Root) =>
  routesOf(root).find((route) => node(route, "route")["cluster"] === "mcp_broker") ?? {};
const extra = (route: Root) => (root: Root) => void routesOf(root).unshift(route);
const filters = (root: Root) => nodes(managerOf(root), "http_filters");
const httpFilter = (name: string, type: string, fields: object = {}) => ({
  name: `envoy.filters.http.${name}`,
  typed_config: { "@type": `type.googleapis.com/envoy.extensions.filters.http.${type}`, ...fields },
});
const before = (filter: object) => (root: Root) => void filters(root).unshift(filter as Root);
const after = (filter: object) => (root: Root) => void filters(root).splice(-1, 0, filter as Root);
const without = (root: Root, name: string) => {
  const all = filters(root);
  all.splice(
    all.findIndex((one) => one["name"] === `envoy.filters.http.${name}`),
    1,
  );
};
const anotherListener = (root: Root) => {
  const copy = structuredClone(listenerOf(root));
  copy["name"] = "back";
  node(copy, "address", "socket_address")["port_value"] = 8444;
  nodes(root, "static_resources", "listeners").push(copy);
  return copy;
};
const inManager = (fields: object) => (root: Root) => void Object.assign(managerOf(root), fields);
const inAuthz = (fields: object) => (root: Root) => void Object.assign(authzOf(root), fields);
const inBody = (fields: object) => (root: Root) => void Object.assign(node(authzOf(root), "with_request_body"), fields);
const inAction = (fields: object) => (root: Root) => void Object.assign(node(brokerRoute(root), "route"), fields);
const tls = (root: Root, name: string) =>
  node(clusterOf(root, name), "transport_socket", "typed_config", "common_tls_context");

/** Ways round the Check. */
const REACH: readonly Seed[] = [
  {
    name: "ext_authz is missing in the chain",
    seed: (root) => without(root, "ext_authz"),
    rule: "route-unchecked",
    place: VIRTUAL,
    only: "config",
  },
  { name: "off on a route", seed: (root) => turnOff(brokerRoute(root)), rule: "route-disabled", place: VIRTUAL },
  {
    name: "off on a route, by FilterConfig",
    seed: (root) => turnOff(brokerRoute(root), FILTER_OFF),
    rule: "route-disabled",
    place: VIRTUAL,
  },
  {
    name: "off on a route of its own",
    seed: extra({
      name: "fast",
      match: { prefix: "/fast" },
      route: { cluster: TICKETS, timeout: "0s" },
      typed_per_filter_config: { [EXT_AUTHZ]: OFF },
    }),
    rule: "route-disabled",
    place: { ...VIRTUAL, route: '1 "fast" (prefix /fast)' },
    only: "config",
  },
  {
    name: "off for one of the weighted clusters",
    seed: (root) => turnOff(nodes(routesOf(root)[0], "route", "weighted_clusters", "clusters")[3] ?? {}),
    rule: "route-disabled",
    place: VIRTUAL,
  },
  {
    name: "off by default, and never on",
    seed: (root) => {
      const filter = filterOf(root, "ext_authz");
      filter["disabled"] = true;
      // Routes that say anything would turn it on.
      for (const route of routesOf(root)) delete node(route, "typed_per_filter_config")[EXT_AUTHZ];
    },
    rule: "filter-disabled",
    place: VIRTUAL,
  },
  {
    name: "another listener without it",
    seed: (root) => {
      const copy = anotherListener(root);
      const manager = node(nodes(copy, "filter_chains", 0, "filters")[0], "typed_config");
      const all = nodes(manager, "http_filters");
      manager["http_filters"] = all.filter((one) => one["name"] !== EXT_AUTHZ);
    },
    rule: "route-unchecked",
    place: { listener: "back" },
  },
  {
    name: "a second filter chain without it",
    seed: (root) => {
      const chains = nodes(listenerOf(root), "filter_chains");
      const copy = structuredClone(chains[0] ?? {});
      copy["name"] = "inner";
      const manager = node(nodes(copy, "filters")[0], "typed_config");
      manager["http_filters"] = nodes(manager, "http_filters").filter((one) => one["name"] !== EXT_AUTHZ);
      chains.push(copy);
    },
    rule: "route-unchecked",
    place: { listener: "public", filterChain: "inner" },
  },
  {
    name: "the default filter chain without it",
    seed: (root) => {
      const listener = listenerOf(root);
      const copy = structuredClone(nodes(listener, "filter_chains")[0] ?? {});
      const manager = node(nodes(copy, "filters")[0], "typed_config");
      manager["http_filters"] = nodes(manager, "http_filters").filter((one) => one["name"] !== EXT_AUTHZ);
      listener["default_filter_chain"] = copy;
    },
    rule: "route-unchecked",
    place: { listener: "public", filterChain: "default" },
  },
  {
    name: "a TCP proxy to the broker",
    seed: (root) => {
      const type = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
      const filter = { name: "tcp", typed_config: { "@type": type, stat_prefix: "t", cluster: "mcp_broker" } };
      nodes(root, "static_resources", "listeners").push({
        name: "raw",
        address: {},
        filter_chains: [{ filters: [filter] }],
      });
    },
    rule: "tcp-proxy",
    place: { listener: "raw" },
  },
  {
    name: "after the router",
    seed: (root) => void filters(root).push(...filters(root).splice(2, 1)),
    rule: "after-router",
    place: FILTER,
  },
  {
    name: "for half of the requests",
    seed: inAuthz({
      filter_enabled: { default_value: { numerator: 50 }, runtime_key: "a.b" },
      deny_at_disable: undefined,
    }),
    rule: "check-sampled",
    place: FILTER,
  },
  {
    name: "for a part of a million",
    seed: inAuthz({
      filter_enabled: { default_value: { numerator: 999_999, denominator: "MILLION" } },
      deny_at_disable: undefined,
    }),
    rule: "check-sampled",
    place: FILTER,
  },
  {
    name: "switched off by the runtime",
    seed: (root) => {
      inAuthz({
        filter_enabled: { default_value: { numerator: 100 }, runtime_key: "a.b" },
        deny_at_disable: undefined,
      })(root);
      root["layered_runtime"] = { layers: [{ name: "static", static_layer: { a: { b: 0 } } }] };
    },
    rule: "check-sampled",
    place: FILTER,
  },
  {
    name: "where metadata says so, and nothing says it",
    seed: inAuthz({
      filter_enabled_metadata: {
        filter: "envoy.filters.http.rbac",
        path: [{ key: "x" }],
        value: { string_match: { prefix: "y" } },
      },
    }),
    rule: "check-conditional",
    place: FILTER,
  },
  {
    name: "where Istio's rules on paths say so",
    seed: (root) => {
      const rules = {
        policies: { p: { permissions: [{ url_path: { path: { prefix: "/mcp" } } }], principals: [{ any: true }] } },
      };
      before(httpFilter("rbac", "rbac.v3.RBAC", { shadow_rules: rules, shadow_rules_stat_prefix: "istio_ext_authz_" }))(
        root,
      );
      const path = [{ key: "istio_ext_authz_shadow_effective_policy_id" }];
      inAuthz({
        filter_enabled_metadata: { filter: "envoy.filters.http.rbac", path, value: { string_match: { prefix: "p" } } },
      })(root);
    },
    rule: "check-conditional",
    place: FILTER,
  },
  {
    name: "inside a matcher",
    seed: (root) => {
      const filter = filterOf(root, "ext_authz");
      const inner = { name: EXT_AUTHZ, typed_config: filter["typed_config"] };
      const type = "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher";
      filter["typed_config"] = { "@type": type, extension_config: inner, xds_matcher: {} };
    },
    rule: "check-conditional",
    place: FILTER,
  },
  {
    name: "asked over HTTP",
    seed: (root) => {
      delete authzOf(root)["grpc_service"];
      inAuthz({ http_service: { server_uri: { uri: "http://a", cluster: "mcp_authz", timeout: "1s" } } })(root);
    },
    rule: "http-service",
    place: VIRTUAL,
    only: "config",
  },
  {
    name: "a header names the cluster",
    seed: extra({ match: { prefix: "/x" }, route: { cluster_header: "x-to", timeout: "0s" } }),
    rule: "cluster-header",
    place: VIRTUAL,
  },
  {
    name: "a route to serve itself",
    seed: extra({ match: { prefix: "/envoy.service" }, route: { cluster: "mcp_authz" } }),
    rule: "authz-exposed",
    place: VIRTUAL,
  },
  {
    name: "copies of requests",
    seed: inAction({ request_mirror_policies: [{ cluster: "admin" }] }),
    rule: "mirror",
    place: VIRTUAL,
  },
  {
    name: "off where Envoy answers itself",
    seed: (root) => turnOff(routesOf(root).at(-1) ?? {}),
    rule: "answer-unchecked",
    place: VIRTUAL,
  },
  {
    name: "routes that are not in the dump",
    seed: (root) => {
      const other = { "@type": managerOf(root)["@type"], rds: { route_config_name: "elsewhere" }, http_filters: [] };
      nodes(root, "static_resources", "listeners").push({
        name: "late",
        filter_chains: [{ filters: [{ name: "hcm", typed_config: other }] }],
      });
    },
    rule: "not-in-dump",
    place: { listener: "late" },
  },
];

/** The filter's own settings. */
const SETTINGS: readonly Seed[] = [
  {
    name: "failure_mode_allow",
    seed: inAuthz({ failure_mode_allow: true }),
    rule: "failure-mode-allow",
    place: FILTER,
  },
  { name: "shadow_mode", seed: inAuthz({ shadow_mode: true }), rule: "shadow-mode", place: FILTER },
  { name: "no status_on_error", seed: inAuthz({ status_on_error: undefined }), rule: "status-on-error", place: FILTER },
  {
    name: "status_on_error 200",
    seed: inAuthz({ status_on_error: { code: "OK" } }),
    rule: "status-on-error",
    place: FILTER,
  },
  {
    name: "no validate_mutations",
    seed: inAuthz({ validate_mutations: false }),
    rule: "validate-mutations",
    place: FILTER,
  },
  {
    name: "no encode_raw_headers",
    seed: inAuthz({ encode_raw_headers: undefined }),
    rule: "raw-headers",
    place: FILTER,
  },
  {
    name: "a part of the headers",
    seed: inAuthz({ allowed_headers: { patterns: [{ exact: "authorization" }] } }),
    rule: "headers-hidden",
    place: FILTER,
  },
  {
    name: "no clear_route_cache",
    seed: inAuthz({ clear_route_cache: undefined }),
    rule: "clear-route-cache",
    place: FILTER,
  },
  {
    name: "metadata dropped",
    seed: inAuthz({ enable_dynamic_metadata_ingestion: false }),
    rule: "metadata-dropped",
    place: FILTER,
  },
  {
    name: "no timeout of the Check",
    seed: (root) => void delete node(authzOf(root), "grpc_service")["timeout"],
    rule: "check-timeout",
    place: FILTER,
  },
  {
    name: "a short timeout of the Check",
    seed: (root) => void (node(authzOf(root), "grpc_service")["timeout"] = "0.1s"),
    rule: "check-timeout",
    place: FILTER,
  },
  {
    name: "a long timeout of the Check",
    seed: (root) => void (node(authzOf(root), "grpc_service")["timeout"] = "600s"),
    rule: "check-timeout",
    place: FILTER,
  },
  {
    name: "a back-off that caps the Check",
    seed: (root) =>
      void (node(authzOf(root), "grpc_service", "retry_policy")["retry_back_off"] = { base_interval: "0.02s" }),
    rule: "check-back-off",
    place: FILTER,
  },
  {
    name: "refusals cut",
    seed: inAuthz({ max_denied_response_body_bytes: 16 }),
    rule: "denied-body-cut",
    place: FILTER,
  },
  {
    name: "mutation rules that refuse our removals",
    seed: (root) => void delete node(authzOf(root), "decoder_header_mutation_rules")["allow_envoy"],
    rule: "mutation-rules",
    place: FILTER,
  },
  { name: "no body", seed: inAuthz({ with_request_body: undefined }), rule: "body-not-sent", place: FILTER },
  { name: "partial bodies", seed: inBody({ allow_partial_message: true }), rule: "body-partial", place: FILTER },
  { name: "bodies as text", seed: inBody({ pack_as_bytes: undefined }), rule: "body-as-text", place: FILTER },
  {
    name: "partial bodies on one route",
    seed: extra({
      match: { path: "/mcp", headers: [{ name: "x-a", present_match: true }] },
      direct_response: { status: 404 },
      typed_per_filter_config: {
        [EXT_AUTHZ]: {
          "@type": PER_ROUTE,
          check_settings: { with_request_body: { max_request_bytes: 262_144, allow_partial_message: true } },
        },
      },
    }),
    rule: "body-partial",
    place: VIRTUAL,
  },
  {
    name: "a small body limit",
    seed: (root) => (
      inBody({ max_request_bytes: 1024 })(root),
      void (node(filterOf(root, "body_size_limit"), "typed_config")["max_request_bytes"] = 1024)
    ),
    rule: "body-limit-small",
    place: FILTER,
  },
  {
    name: "a large body limit",
    seed: (root) => inBody({ max_request_bytes: 67_108_864 })(root),
    rule: "body-limit-large",
    place: FILTER,
  },
];

/** The filters beside it. */
const NEIGHBOURS: readonly Seed[] = [
  {
    name: "no body_size_limit",
    seed: (root) => without(root, "body_size_limit"),
    rule: "body-limit-missing",
    place: FILTER,
  },
  {
    name: "body_size_limit after ext_authz",
    seed: (root) => void filters(root).splice(3, 0, ...filters(root).splice(0, 1)),
    rule: "body-limit-missing",
    place: PUBLIC,
  },
  {
    name: "body_size_limit above the limit of ext_authz",
    seed: (root) => void (node(filterOf(root, "body_size_limit"), "typed_config")["max_request_bytes"] = 1_048_576),
    rule: "body-limit-large",
    place: PUBLIC,
  },
  {
    name: "body_size_limit off on a route",
    seed: (root) =>
      void (node(hostOf(root), "typed_per_filter_config")["envoy.filters.http.body_size_limit"] = FILTER_OFF),
    rule: "body-limit-missing",
    place: VIRTUAL,
  },
  {
    name: "a cache before",
    seed: before(httpFilter("cache", "cache.v3.CacheConfig")),
    rule: "cache-before-check",
    place: PUBLIC,
  },
  {
    name: "a decompressor",
    seed: before(httpFilter("decompressor", "decompressor.v3.Decompressor")),
    rule: "decompressor",
    place: PUBLIC,
  },
  {
    name: "a processor of bodies after",
    seed: after(
      httpFilter("ext_proc", "ext_proc.v3.ExternalProcessor", { processing_mode: { request_body_mode: "BUFFERED" } }),
    ),
    rule: "changed-after-check",
    place: PUBLIC,
  },
  {
    name: "the mcp filter that rejects",
    seed: before(httpFilter("mcp", "mcp.v3.Mcp", { traffic_mode: "REJECT_NO_MCP" })),
    rule: "mcp-filter",
    place: PUBLIC,
  },
  {
    name: "jwt_authn that takes the token",
    seed: before(httpFilter("jwt_authn", "jwt_authn.v3.JwtAuthentication", { providers: { a: { issuer: "a" } } })),
    rule: "token-taken",
    place: PUBLIC,
  },
  { name: "a tap", seed: before(httpFilter("tap", "tap.v3.Tap")), rule: "tap", place: PUBLIC },
  {
    name: "metadata of clients",
    seed: before(
      httpFilter("header_to_metadata", "header_to_metadata.v3.Config", {
        request_rules: [{ header: "x", on_header_present: { metadata_namespace: EXT_AUTHZ, key: "mcp" } }],
      }),
    ),
    rule: "metadata-of-clients",
    place: PUBLIC,
  },
];

const MUTATION = "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
const mutations = (root: Root) =>
  nodes(nodes(managerOf(root), "early_header_mutation_extensions")[0], "typed_config", "mutations");

/** Headers. */
const HEADERS: readonly Seed[] = [
  {
    name: "nothing stripped",
    seed: (root) => void delete managerOf(root)["early_header_mutation_extensions"],
    rule: "header-not-stripped",
    place: PUBLIC,
  },
  {
    name: "one managed header not stripped",
    seed: (root) =>
      void (node(nodes(managerOf(root), "early_header_mutation_extensions")[0], "typed_config")["mutations"] =
        mutations(root).filter((one) => one["remove"] !== "x-authorized-tools")),
    rule: "header-not-stripped",
    place: PUBLIC,
  },
  {
    name: "Envoy's own headers not stripped",
    seed: (root) => void mutations(root).pop(),
    rule: "header-not-stripped",
    place: PUBLIC,
  },
  {
    name: "the token stripped",
    seed: (root) =>
      void nodes(managerOf(root), "early_header_mutation_extensions").push({
        name: "more",
        typed_config: { "@type": MUTATION, mutations: [{ remove: "Authorization" }] },
      }),
    rule: "check-input-stripped",
    place: PUBLIC,
  },
  {
    name: "no use_remote_address",
    seed: inManager({ use_remote_address: false }),
    rule: "remote-address",
    place: PUBLIC,
  },
  {
    name: "more trusted hops",
    seed: inManager({ xff_num_trusted_hops: 3 }),
    rule: "trusted-hops",
    place: PUBLIC,
    only: "config",
  },
  {
    name: "x-forwarded-for not added to",
    seed: inManager({ skip_xff_append: true }),
    rule: "forwarded-append",
    place: PUBLIC,
  },
  {
    name: "x-forwarded-host added beside the client's",
    seed: (root) =>
      void nodes(hostOf(root), "request_headers_to_add").push({ header: { key: "x-forwarded-host", value: "gw" } }),
    rule: "forwarded-append",
    place: VIRTUAL,
  },
  {
    name: "a client's certificate header",
    seed: inManager({ forward_client_cert_details: "APPEND_FORWARD" }),
    rule: "client-certificate",
    place: PUBLIC,
  },
  {
    name: "a client's request id",
    seed: inManager({ preserve_external_request_id: true }),
    rule: "request-id",
    place: PUBLIC,
  },
  {
    name: "underscores allowed",
    seed: (root) =>
      void (node(managerOf(root), "common_http_protocol_options")["headers_with_underscores_action"] = "ALLOW"),
    rule: "underscores",
    place: PUBLIC,
  },
  {
    name: "the wristband removed by a route",
    seed: (root) => void Object.assign(brokerRoute(root), { request_headers_to_remove: ["X-Authorized-Tools"] }),
    rule: "grant-removed",
    place: VIRTUAL,
  },
  {
    name: "a credential of a route",
    seed: (root) =>
      void nodes(brokerRoute(root), "request_headers_to_add").push({
        header: { key: "authorization", value: "x" },
        append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
      }),
    rule: "grant-overwritten",
    place: VIRTUAL,
  },
  {
    name: "a token in the access log",
    seed: (root) =>
      void (node(nodes(managerOf(root), "access_log")[0], "typed_config", "log_format", "json_format")["t"] =
        "%REQ(Authorization)%"),
    rule: "secret-in-log",
    place: PUBLIC,
  },
];

/** Paths, protocols, times. */
const CONNECTION: readonly Seed[] = [
  { name: "no normalize_path", seed: inManager({ normalize_path: undefined }), rule: "normalize-path", place: PUBLIC },
  { name: "no merge_slashes", seed: inManager({ merge_slashes: false }), rule: "merge-slashes", place: PUBLIC },
  {
    name: "escaped slashes kept",
    seed: inManager({ path_with_escaped_slashes_action: "KEEP_UNCHANGED" }),
    rule: "escaped-slashes",
    place: PUBLIC,
  },
  {
    name: "escaped slashes by default",
    seed: inManager({ path_with_escaped_slashes_action: undefined }),
    rule: "escaped-slashes",
    place: PUBLIC,
  },
  {
    name: "websocket",
    seed: inManager({ upgrade_configs: [{ upgrade_type: "websocket" }] }),
    rule: "upgrade",
    place: PUBLIC,
  },
  {
    name: "websocket on a route",
    seed: inAction({ upgrade_configs: [{ upgrade_type: "websocket" }] }),
    rule: "upgrade",
    place: VIRTUAL,
  },
  {
    name: "extended CONNECT",
    seed: (root) => void (node(managerOf(root), "http2_protocol_options")["allow_connect"] = true),
    rule: "upgrade",
    place: PUBLIC,
  },
  {
    name: "lenient HTTP/1",
    seed: inManager({ http_protocol_options: { allow_chunked_length: true } }),
    rule: "http1-lenient",
    place: PUBLIC,
  },
  {
    name: "thousands of streams",
    seed: (root) => void (node(managerOf(root), "http2_protocol_options")["max_concurrent_streams"] = 100_000),
    rule: "http2-streams",
    place: PUBLIC,
  },
  {
    name: "no request_timeout",
    seed: inManager({ request_timeout: undefined }),
    rule: "request-timeout",
    place: PUBLIC,
  },
  { name: "a route timeout", seed: inAction({ timeout: "30s" }), rule: "route-timeout", place: VIRTUAL },
  { name: "the default route timeout", seed: inAction({ timeout: undefined }), rule: "route-timeout", place: VIRTUAL },
  {
    name: "streams cut while they are silent",
    seed: inAction({ idle_timeout: "5s" }),
    rule: "stream-idle",
    place: VIRTUAL,
  },
  {
    name: "streams for ever",
    seed: inAction({ idle_timeout: "0s", max_stream_duration: undefined }),
    rule: "stream-unbounded",
    place: VIRTUAL,
  },
  {
    name: "redirects followed",
    seed: inAction({ internal_redirect_policy: { max_internal_redirects: 1 } }),
    rule: "internal-redirect",
    place: VIRTUAL,
  },
  {
    name: "calls sent again",
    seed: inAction({ retry_policy: { retry_on: "5xx,connect-failure" } }),
    rule: "retries",
    place: VIRTUAL,
  },
];

const plain = (root: Root, name: string) => void delete clusterOf(root, name)["transport_socket"];

/** Clusters and the admin interface. */
const UPSTREAM: readonly Seed[] = [
  {
    name: "a server in plain text",
    seed: (root) => plain(root, TICKETS),
    rule: "plaintext",
    place: { cluster: TICKETS },
    only: "config",
  },
  {
    name: "the broker in plain text",
    seed: (root) => plain(root, "mcp_broker"),
    rule: "plaintext",
    place: { cluster: "mcp_broker" },
  },
  {
    name: "serve in plain text",
    seed: (root) => plain(root, "mcp_authz"),
    rule: "plaintext",
    place: { cluster: "mcp_authz" },
  },
  {
    name: "any certificate",
    seed: (root) => void delete tls(root, "mcp_authz")["validation_context"],
    rule: "tls-unverified",
    place: { cluster: "mcp_authz" },
  },
  {
    name: "untrusted certificates",
    seed: (root) =>
      void (node(tls(root, "mcp_broker"), "validation_context")["trust_chain_verification"] = "ACCEPT_UNTRUSTED"),
    rule: "tls-unverified",
    place: { cluster: "mcp_broker" },
  },
  {
    name: "any name",
    seed: (root) => void delete node(tls(root, "mcp_broker"), "validation_context")["match_typed_subject_alt_names"],
    rule: "tls-name",
    place: { cluster: "mcp_broker" },
  },
  {
    name: "an old version of TLS",
    seed: (root) => void (node(tls(root, "mcp_broker"), "tls_params")["tls_minimum_protocol_version"] = "TLSv1_0"),
    rule: "tls-version",
    place: { cluster: "mcp_broker" },
  },
  {
    name: "an old version of TLS towards clients",
    seed: (root) => {
      const socket = node(nodes(listenerOf(root), "filter_chains")[0], "transport_socket", "typed_config");
      node(socket, "common_tls_context", "tls_params")["tls_minimum_protocol_version"] = "TLSv1_1";
    },
    rule: "tls-version",
    place: { listener: "public" },
  },
  {
    name: "serve without HTTP/2",
    seed: (root) => void delete clusterOf(root, "mcp_authz")["typed_extension_protocol_options"],
    rule: "authz-http2",
    place: { cluster: "mcp_authz" },
  },
  {
    name: "serve without ALPN",
    seed: (root) => void delete tls(root, "mcp_authz")["alpn_protocols"],
    rule: "authz-alpn",
    place: { cluster: "mcp_authz" },
  },
  {
    name: "few Checks at a time",
    seed: (root) => void (node(clusterOf(root, "mcp_authz"), "circuit_breakers", "thresholds", 0)["max_requests"] = 8),
    rule: "authz-limit",
    place: { cluster: "mcp_authz" },
  },
  {
    name: "a cluster of serve that is not there",
    seed: (root) => void (node(authzOf(root), "grpc_service", "envoy_grpc")["cluster_name"] = "nobody"),
    rule: "authz-cluster",
    place: { cluster: "nobody" },
  },
  {
    name: "admin on every address",
    seed: (root) =>
      void (node(root, "admin")["address"] = { socket_address: { address: "0.0.0.0", port_value: 9901 } }),
    rule: "admin-public",
    place: { bootstrap: "admin" },
  },
  {
    name: "a route to the admin interface",
    seed: extra({
      match: { prefix: "/admin" },
      route: { cluster: "admin", prefix_rewrite: "/" },
      typed_per_filter_config: { [EXT_AUTHZ]: OFF },
    }),
    rule: "admin-route",
    place: VIRTUAL,
  },
];

export const SEEDS: readonly Seed[] = [...REACH, ...SETTINGS, ...NEIGHBOURS, ...HEADERS, ...CONNECTION, ...UPSTREAM];
