// Clusters of the printed Envoy: serve, the broker, the MCP servers, the admin socket. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/cluster/v3/cluster.proto
import { isIP } from "node:net";
import type { Config, ServerConfig } from "../config/schema.ts";
import type { ListenAddress } from "../http/listen.ts";
import { shardLimits, shardNames } from "./caller-shards.ts";
import { hostCluster } from "./host-routes.ts";
import { serverCluster, socketAddress, typed } from "./values.ts";

const SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt";
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/**
 * As many connections as the broker accepts. Each call holds one while it lasts, each stream of a session for hours: with
 * Envoy's default of 1024, four callers at the limit of one caller would fill them.
 */
export const BROKER_CALLS = { connections: 16_384, pending: 4096 } as const;
const BROKER_LIMITS = {
  thresholds: [
    {
      max_connections: BROKER_CALLS.connections,
      max_pending_requests: BROKER_CALLS.pending,
      max_requests: BROKER_CALLS.connections,
    },
  ],
};

/**
 * As many Checks at a time as serve takes. Any client may cause one: with fewer, a burst of requests without a token, all of
 * which serve refuses within its time, makes Envoy refuse the requests of all other clients.
 */
export const CHECKS = 4096;

type ClientTls = Config["envoy"]["tls"]["authz"];

export function clusters(config: Config): object[] {
  const { envoy } = config;
  return [
    authzCluster(workerAddresses(config), envoy.tls.authz),
    ...(config.policy.mode === "envoy" ? [] : [brokerCluster(config)]),
    ...Object.entries(config.servers).flatMap(([name, server]) =>
      shardNames(config, name, server).map((shard) => ({
        ...upstreamCluster(shard, server),
        alt_stat_name: serverCluster(name),
        circuit_breakers: shardLimits(config),
      })),
    ),
    ...envoy.upstreams.map((upstream, i) => upstreamCluster(hostCluster(i), upstream)),
    cluster("admin", { kind: "unix", path: envoy.adminSocket }),
  ];
}

/** One for each worker, where each has a port of its own; then Envoy asks them in turn. */
function workerAddresses({ envoy, listen, workers }: Config): readonly [ListenAddress, ...ListenAddress[]] {
  const first = envoy.authzAddress ?? listen.authz;
  if (first.kind === "unix" || listen.workerPorts !== "each") return [first];
  const { host, port } = first;
  const others = Array.from({ length: workers - 1 }, (_, i) => ({ kind: "tcp", host, port: port + i + 1 }) as const);
  return [first, ...others];
}

function brokerCluster({ envoy, listen, sessions }: Config): object {
  return {
    ...cluster("mcp_broker", envoy.brokerAddress ?? listen.broker),
    ...(sessions !== null && { lb_policy: "RING_HASH" }),
    circuit_breakers: BROKER_LIMITS,
    ...(envoy.tls.broker !== null && { transport_socket: clientTls(envoy.tls.broker, ["http/1.1"]) }),
  };
}

function cluster(name: string, address: ListenAddress, others: readonly ListenAddress[] = []): object {
  const isFixed = address.kind === "unix" || isIP(address.host) !== 0;
  return {
    name,
    type: isFixed ? "STATIC" : "STRICT_DNS",
    connect_timeout: "1s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [address, ...others].map(endpointOf) }] },
  };
}

function endpointOf(address: ListenAddress): object {
  const at = address.kind === "unix" ? { pipe: { path: address.path } } : socketAddress(address);
  return { endpoint: { address: at } };
}

function authzCluster([address, ...others]: ReturnType<typeof workerAddresses>, tls: ClientTls): object {
  return {
    ...cluster("mcp_authz", address, others),
    circuit_breakers: { thresholds: [{ max_requests: CHECKS, max_pending_requests: CHECKS, max_connections: 64 }] },
    common_lb_config: { healthy_panic_threshold: { value: 0 } }, // the default keeps sending to an unhealthy service
    health_checks: [
      {
        timeout: "1s",
        interval: "1s",
        no_traffic_interval: "1s",
        unhealthy_threshold: 2,
        healthy_threshold: 1,
        grpc_health_check: { service_name: "envoy.service.auth.v3.Authorization" },
      },
    ],
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        "@type": `type.googleapis.com/${HTTP_OPTIONS}`,
        explicit_http_config: { http2_protocol_options: { connection_keepalive: { interval: "30s", timeout: "5s" } } },
      },
    },
    ...(tls !== null && { transport_socket: clientTls(tls, ["h2"]) }),
  };
}

/** Without a validation context Envoy accepts any certificate; without ALPN a Node server refuses the handshake. */
function clientTls(tls: NonNullable<ClientTls>, alpn: readonly string[]): object {
  const pair =
    tls.certFile === null || tls.keyFile === null
      ? {}
      : {
          tls_certificates: [{ certificate_chain: { filename: tls.certFile }, private_key: { filename: tls.keyFile } }],
        };
  return upstreamTls(tls.serverName, tls.caFile, {
    alpn_protocols: alpn,
    ...pair,
    tls_params: versionsFrom("TLSv1_3"),
  });
}

/** Always verified: its CA, and that the certificate is for this host. */
function upstreamCluster(name: string, server: Pick<ServerConfig, "url" | "caFile">): object {
  const url = new URL(server.url);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  return {
    ...cluster(name, { kind: "tcp", host, port }),
    connect_timeout: "5s",
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        "@type": `type.googleapis.com/${HTTP_OPTIONS}`,
        common_http_protocol_options: { idle_timeout: "60s" }, // of a connection without a call; Envoy's default is an hour
        explicit_http_config: { http_protocol_options: {} },
      },
    },
    ...(url.protocol === "https:" && {
      transport_socket: upstreamTls(host, server.caFile ?? SYSTEM_CA, {
        alpn_protocols: ["http/1.1"],
        tls_params: versionsFrom("TLSv1_2"),
      }),
    }),
  };
}

function versionsFrom(minimum: string): object {
  return { tls_minimum_protocol_version: minimum, tls_maximum_protocol_version: "TLSv1_3" };
}

function upstreamTls(host: string, caFile: string, context: object): object {
  const isAddress = isIP(host) !== 0;
  return typed("envoy.transport_sockets.tls", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
    ...(!isAddress && { sni: host }),
    common_tls_context: {
      ...context,
      validation_context: {
        trusted_ca: { filename: caFile },
        match_typed_subject_alt_names: [{ san_type: isAddress ? "IP_ADDRESS" : "DNS", matcher: { exact: host } }],
      },
    },
  });
}
