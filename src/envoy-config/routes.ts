// Routes of the printed Envoy: only metadata of the Check chooses one. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
import { DIRECT_ROUTE, destinationOf, directRoute } from "../authz/destination.ts";
import { endpointPath, endpointTable, WELL_KNOWN, legacySsePath } from "../authz/endpoint.ts";
import { hasSessions } from "../config/settings.ts";
import { callerHeaders } from "../config/callers.ts";
import type { Config, ServerConfig } from "../config/schema.ts";
import { partsOf } from "../http/url.ts";
import { BODY_BUDGET } from "./body-budget.ts";
import { hostMatches, hostUpstreams } from "./host-routes.ts";
import { shardOf } from "./caller-shards.ts";
import { ORIGIN, serverResponses } from "./server-responses.ts";
import { duration, EXT_AUTHZ } from "./values.ts";

/** Response headers of upstreams that no client gets. The challenge of serve passes: it comes before these routes. */
const UPSTREAM_ONLY = [
  "www-authenticate",
  "proxy-authenticate",
  "set-cookie",
  "x-powered-by",
  "via",
  "x-envoy-upstream-service-time",
];

/** Headers of the broker's responses that no client gets. */
export function brokerOnlyHeaders({ wristband }: Config): string[] {
  return [...UPSTREAM_ONLY, wristband.header];
}

/** Request headers that no server needs. The Check cannot remove them: Envoy refuses that (ext-authz.ts), or routes by them. */
const HOP_HEADERS = ["te", "trailer", "keep-alive", "proxy-connection", "x-forwarded-proto"];

/** Exact names: two Host headers, user@host and an empty host match nothing and get 404. */
export function virtualHosts(config: Config): object[] {
  const domains = [...new Set([new URL(config.publicOrigin).hostname, ...config.hosts])];
  return [{ name: "mcp", domains, routes: routes(config) }];
}

function routes(config: Config): object[] {
  const hosts = hostUpstreams(config).map((upstream) => hostRoute(config, upstream));
  const others = [
    ...hostMatches(config, UNBUFFERED),
    { match: { prefix: "/" }, direct_response: NO_PATH, ...UNBUFFERED },
  ];
  return [...hosts, ...(config.policy.mode === "envoy" ? [] : mcpRoutes(config)), ...others];
}

const NO_PATH = { status: 404 };

function mcpRoutes(config: Config): object[] {
  const names = [...Object.keys(config.servers), ...Object.keys(config.virtualServers)];
  const endpoints = ["/mcp", ...names.map(endpointPath)];
  const streams = legacyStreams(config);
  const documents = [WELL_KNOWN, ...[...endpoints, ...streams].map((path) => WELL_KNOWN + path)];
  return [
    ...Object.entries(config.servers).map((entry) => serverRoute(config, entry)),
    ...endpoints.map((path) => brokerRoute(config, { path })),
    ...Object.keys(config.servers).map((name) => elsewhere(endpointPath(name))),
    ...streams.flatMap((path) => legacyRoutes(config, path)),
    // Before the Check a request matches one of these; it stays there if the Check names no route.
    ...endpoints.flatMap((path) => bodyMatches(config, { path }).map((match) => ({ match, ...notFound(-32_601) }))),
    ...endpoints.map((path) => ({ match: { path }, ...notFound(-32_601), ...UNBUFFERED })),
    // The Check responds; without a route Envoy would respond 404 without asking it.
    ...documents.map((path) => ({ match: { path }, direct_response: NO_PATH, ...UNBUFFERED })),
  ];
}

const POST = { name: ":method", string_match: { exact: "POST" } };

/** The Check reads the body of these requests only: without a credential it refuses before, where one is needed. */
function bodyMatches(config: Config, place: Place): object[] {
  const open = Object.entries(config.servers).flatMap(([name, server]) => (server.public ? [endpointPath(name)] : []));
  const path = "path" in place ? place.path : place.prefix.slice(0, -1);
  const isOpen =
    config.identity.development !== null || open.some((one) => one === path || legacySsePath(one) === path);
  if (isOpen) return [{ ...place, headers: [POST] }];
  const presented = new Set(["authorization", ...callerHeaders(config)]);
  return [...presented].map((name) => ({ ...place, headers: [POST, { name, present_match: true }] }));
}

/** The Check runs before the body has arrived: Envoy buffers nothing. */
const UNBUFFERED = {
  typed_per_filter_config: {
    [EXT_AUTHZ]: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
      check_settings: { disable_request_body_buffering: true },
    },
    [BODY_BUDGET]: {
      "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
      disabled: true,
      config: {},
    },
  },
};

/** The paths of the streams of HTTP+SSE. */
function legacyStreams(config: Config): string[] {
  const { paths } = endpointTable({ ...config, hasSessions: (server) => hasSessions(config, server) });
  return [...paths].flatMap(([path, endpoint]) =>
    endpoint.kind === "mcp" && endpoint.legacySse !== null ? [path] : [],
  );
}

/** A stream of HTTP+SSE, and behind its path the ids of sessions: there its messages are posted. */
function legacyRoutes(config: Config, path: string): object[] {
  const messages = { prefix: `${path}/` };
  return [
    ...[{ path }, messages].map((place) => brokerRoute(config, place)),
    ...bodyMatches(config, messages).map((match) => ({ match, ...notFound(-32_601) })),
    ...[{ path }, messages].map((match) => ({ match, ...notFound(-32_601), ...UNBUFFERED })),
  ];
}

type Place = { readonly path: string } | { readonly prefix: string };

/** Matches by dynamic metadata, which only the response to a Check sets: no header of a client does. */
function named(
  place: Readonly<Record<string, string>>,
  route: { readonly exact: string } | { readonly prefix: string },
): object {
  return {
    ...place,
    dynamic_metadata: [{ filter: EXT_AUTHZ, path: [{ key: "mcp" }, { key: "route" }], value: { string_match: route } }],
  };
}

function serverRoute(config: Config, [name, server]: [string, ServerConfig]): object {
  const { origin, path } = partsOf(server.url);
  return {
    match: named({ path: endpointPath(name) }, { exact: directRoute(name, destinationOf(server.url)) }),
    route: {
      ...shardOf(config, name, server),
      prefix_rewrite: path,
      host_rewrite_literal: new URL(origin).host,
      ...streaming(config),
      idle_timeout: duration(server.timeoutMs),
    },
    request_headers_to_remove: HOP_HEADERS,
    ...ORIGIN,
    ...serverResponses(config, server),
  };
}

/** The path, the query and the host stay as they are: policy has decided about them. */
function hostRoute(config: Config, { cluster, place }: ReturnType<typeof hostUpstreams>[number]): object {
  return { match: named(place, { exact: "host" }), route: { cluster, ...streaming(config) } };
}

function brokerRoute(config: Config, place: Place): object {
  return {
    match: named(place, { exact: "broker" }),
    route: { cluster: "mcp_broker", ...sessionAffinity(config), ...streaming(config) },
    response_headers_to_remove: brokerOnlyHeaders(config),
  };
}

/**
 * Requests of one session go to one replica of the broker. It hands them on where it does not own the session, so this saves a
 * hop for none but keeps each stream on one connection through a change of replicas.
 */
function sessionAffinity({ sessions }: Config): object {
  return sessions === null ? {} : { hash_policy: [{ header: { header_name: "mcp-session-id" } }] };
}

/** A route timeout would cut event streams; their whole length is bounded instead. */
function streaming({ envoy }: Config): object {
  const seconds = `${envoy.maxStreamSeconds}s`;
  return { timeout: "0s", idle_timeout: seconds, max_stream_duration: { max_stream_duration: seconds } };
}

/**
 * Behind the direct routes: the Check's answer is for a server that is not here, or for another URL of one. What it was given
 * goes nowhere; once serve and Envoy have read the same, calls pass again (local-replies.ts has the words).
 */
function elsewhere(path: string): object {
  return { match: named({ path }, { prefix: DIRECT_ROUTE }), direct_response: { status: 503 } };
}

function notFound(code: number): object {
  const body = JSON.stringify({ jsonrpc: "2.0", id: null, error: { code, message: "Not found" } });
  return {
    direct_response: { status: 404, body: { inline_string: body } },
    response_headers_to_add: [
      { header: { key: "content-type", value: "application/json" }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
    ],
  };
}
