// Manifests for Envoy Gateway 1.9: the edge that the printed Envoy is, in its kinds. Pure.
// https://gateway.envoyproxy.io/docs/api/extension_types/
import type { Report } from "../../config/problem.ts";
import type { Config } from "../../config/schema.ts";
import { BROKER_CALLS, CHECKS } from "../clusters.ts";
import { decisionTimeoutMs, MUTATION_RULES } from "../ext-authz.ts";
import { MAX_STREAMS, STRIPPED_PREFIX, strippedHeaders } from "../listeners.ts";
import { ACCESS_FIELDS } from "../local-replies.ts";
import { PAUSE_SECONDS, REQUEST_SECONDS } from "../values.ts";
import {
  backendTlsPolicies,
  bodyLimitFilter,
  checkBackendTls,
  GATEWAY_API,
  MESH_PARTS,
  NAME,
  referenceGrants,
  showsCertificate,
  TLS_OBJECTS,
  type Manifest,
  type MeshPart,
} from "./common.ts";
import { gateway, listenerName, route } from "./gateway-api.ts";
import { gatewayDuration, type Placement } from "./placement.ts";

const GROUP = "gateway.envoyproxy.io";
const API = `${GROUP}/v1alpha1`;
const CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller";
const AT_GATEWAY = { group: GATEWAY_API, kind: "Gateway", name: NAME };
/** A list of header names takes as many. */
const MAX_NAMES = 64;

/** What Envoy Gateway cannot say, beside what no mesh can. */
export function checkEnvoyGateway(config: Config, problem: Report): void {
  checkBackendTls(config, problem);
  const names = strippedHeaders(config).length;
  const most = 2 * MAX_NAMES - 1;
  if (names > most)
    problem(
      "servers",
      `${names} headers would be removed before routing, and Envoy Gateway takes ${most}: use fewer names of credential headers`,
    );
}

export function envoyGatewayManifests(config: Config, placement: Placement): Manifest[] {
  const { namespace } = placement;
  const own = (kind: string, spec: object): Manifest => ({
    apiVersion: API,
    kind,
    metadata: { name: NAME, namespace },
    spec,
  });
  return [
    own("EnvoyProxy", proxySpec(config)),
    {
      apiVersion: `${GATEWAY_API}/v1`,
      kind: "GatewayClass",
      metadata: { name: NAME },
      spec: {
        controllerName: CONTROLLER,
        parametersRef: { group: GROUP, kind: "EnvoyProxy", name: NAME, namespace },
      },
    },
    gateway(config, placement, { gatewayClassName: NAME }),
    ...backends(placement),
    ...referenceGrants(placement, {
      authz: { group: GROUP, kind: "SecurityPolicy" },
      broker: { group: GATEWAY_API, kind: "HTTPRoute" },
    }),
    ...backendTlsPolicies(config, placement, (part, service) =>
      service === null
        ? { group: GROUP, kind: "Backend", name: `${NAME}-${part}` }
        : { group: "", kind: "Service", name: service },
    ),
    own("ClientTrafficPolicy", clientTraffic(config)),
    own("SecurityPolicy", security(config, placement)),
    own("EnvoyPatchPolicy", patches(config, placement)),
    own("BackendTrafficPolicy", backendTraffic(config)),
    route(config, placement, { to: refTo("broker", placement) }),
  ];
}

/** Its own access log holds queries; backends see the gateway's certificate where one is configured. */
function proxySpec(config: Config): object {
  const { tls } = config.envoy;
  const format = { type: "JSON", json: ACCESS_FIELDS };
  const backendTLS = {
    ...(showsCertificate(config) && { clientCertificateRef: { kind: "Secret", name: TLS_OBJECTS.client } }),
    alpnProtocols: ["h2", "http/1.1"], // without, a Node server refuses the handshake
    minVersion: "1.3",
  };
  return {
    telemetry: { accessLog: { settings: [{ format, sinks: [{ type: "File", file: { path: "/dev/stdout" } }] }] } },
    ...((tls.authz !== null || tls.broker !== null) && { backendTLS }),
  };
}

/** What is no Service is a Backend. */
function backends({ namespace, ...parts }: Placement): Manifest[] {
  return MESH_PARTS.flatMap((part) => {
    const to = parts[part];
    if (to.kind === "service") return [];
    const endpoint =
      to.kind === "ip"
        ? { ip: { address: to.address, port: to.port } }
        : { fqdn: { hostname: to.host, port: to.port } };
    return [
      {
        apiVersion: API,
        kind: "Backend",
        metadata: { name: `${NAME}-${part}`, namespace },
        spec: { endpoints: [endpoint] },
      },
    ];
  });
}

function refTo(part: MeshPart, placement: Placement): object {
  const to = placement[part];
  if (to.kind !== "service") return { group: GROUP, kind: "Backend", name: `${NAME}-${part}`, port: to.port };
  const { name, namespace, port } = to;
  return { group: "", kind: "Service", name, namespace, port };
}

function clientTraffic(config: Config): object {
  const { envoy } = config;
  const names = strippedHeaders(config);
  const further = names.slice(MAX_NAMES).map((value) => ({ type: "Exact", value }));
  return {
    targetRefs: [AT_GATEWAY],
    path: { escapedSlashesAction: "RejectRequest", disableMergeSlashes: false }, // default: a redirect, without a Check
    headers: {
      withUnderscoresAction: "RejectRequest",
      requestID: "Generate",
      xForwardedClientCert: { mode: "Sanitize" },
      host: { stripTrailingHostDot: true },
      earlyRequestHeaders: {
        // Before routing and every filter: what serve, the broker and servers believe.
        remove: names.slice(0, MAX_NAMES),
        removeOnMatch: [{ type: "Prefix", value: STRIPPED_PREFIX }, ...further],
      },
    },
    ...(envoy.trustedHops > 0 && { clientIPDetection: { xForwardedFor: { numTrustedHops: envoy.trustedHops } } }),
    timeout: {
      http: {
        requestReceivedTimeout: `${REQUEST_SECONDS}s`, // of the reception alone: event streams go on
        requestHeadersReceivedTimeout: `${REQUEST_SECONDS}s`,
        idleTimeout: "60s",
        streamIdleTimeout: gatewayDuration(PAUSE_SECONDS * 1000 + decisionTimeoutMs(config)), // until a route is chosen
      },
    },
    connection: { connectionLimit: { value: envoy.maxConnections } },
    http2: { maxConcurrentStreams: MAX_STREAMS, initialStreamWindowSize: "64Ki", initialConnectionWindowSize: "128Ki" },
    ...(envoy.tls.listen !== null && { tls: clientTls(envoy.tls.listen) }),
  };
}

function clientTls({ clientCaFile }: NonNullable<Config["envoy"]["tls"]["listen"]>): object {
  const caCertificateRefs = [{ group: "", kind: "ConfigMap", name: TLS_OBJECTS.clientCa }];
  return {
    minVersion: "1.2",
    alpnProtocols: ["h2", "http/1.1"],
    ...(clientCaFile !== null && { clientValidation: { optional: true, caCertificateRefs } }),
  };
}

/** At the Gateway, so that a route that comes later is judged, too. A second policy at a route takes this one away there. */
function security(config: Config, placement: Placement): object {
  const breaker = { maxParallelRequests: CHECKS, maxPendingRequests: CHECKS, maxConnections: 64 };
  return {
    targetRefs: [AT_GATEWAY],
    extAuth: {
      grpc: { backendRefs: [refTo("authz", placement)], backendSettings: { circuitBreaker: breaker } },
      bodyToExtAuth: { maxRequestBytes: config.limits.bodyBytes },
      timeout: gatewayDuration(decisionTimeoutMs(config)), // default 10s
      failOpen: false,
      statusOnError: 503, // default 403, which clients take for a refusal
      recomputeRoute: false, // no header of the decision chooses a route
    },
  };
}

/**
 * What Envoy Gateway has no field for. A patch that fails is left out, without a word to clients: serve then refuses what the
 * patch would have kept away, bodies as text and cut bodies, and checks each value that it sets by itself.
 */
function patches(config: Config, { namespace }: Placement): object {
  const filter = "..http_filters[?(@.typed_config.with_request_body)].typed_config";
  const onFilter = (path: string, value: unknown) => ({ op: "add", jsonPath: filter, path, value });
  const operations = [
    onFilter("with_request_body/pack_as_bytes", true), // default: text, in which each bad byte is "!"
    onFilter("encode_raw_headers", true),
    onFilter("validate_mutations", true),
    onFilter("decoder_header_mutation_rules", MUTATION_RULES),
    // Without it the last frame of an HTTP/2 body passes over the limit, unseen.
    {
      op: "add",
      jsonPath: "..filters[?(@.typed_config.http_filters)].typed_config",
      path: "http_filters/0",
      value: bodyLimitFilter(config),
    },
  ];
  return {
    targetRef: AT_GATEWAY,
    type: "JSONPatch",
    jsonPatches: operations.map((operation) => ({
      type: "type.googleapis.com/envoy.config.listener.v3.Listener",
      name: `${namespace}/${NAME}/${listenerName(config)}`,
      operation,
    })),
  };
}

function backendTraffic({ envoy, sessions }: Config): object {
  const stream = gatewayDuration(envoy.maxStreamSeconds * 1000);
  const { connections, pending } = BROKER_CALLS;
  return {
    targetRefs: [{ group: GATEWAY_API, kind: "HTTPRoute", name: NAME }],
    circuitBreaker: { maxConnections: connections, maxParallelRequests: connections, maxPendingRequests: pending },
    timeout: {
      tcp: { connectTimeout: "1s" },
      http: { requestTimeout: "0s", maxStreamDuration: stream, streamIdleTimeout: stream },
    },
    // Requests of a session go to one replica of the broker.
    ...(sessions !== null && {
      loadBalancer: {
        type: "ConsistentHash",
        consistentHash: { type: "Headers", headers: [{ name: "mcp-session-id" }] },
      },
    }),
  };
}
