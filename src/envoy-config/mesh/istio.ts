// Manifests for Istio: Gateway API or, for a gateway that is there already, Istio's own kinds. Pure.
// https://istio.io/latest/docs/reference/config/security/authorization-policy/
import type { Report } from "../../config/problem.ts";
import type { Config } from "../../config/schema.ts";
import { BROKER_CALLS, CHECKS } from "../clusters.ts";
import { decisionTimeoutMs } from "../ext-authz.ts";
import { ACCESS_FIELDS } from "../local-replies.ts";
import { brokerOnlyHeaders } from "../routes.ts";
import { duration } from "../values.ts";
import {
  checkBackendTls,
  GATEWAY_API,
  MESH_PARTS,
  NAME,
  referenceGrants,
  TLS_OBJECTS,
  type Manifest,
  type MeshPart,
} from "./common.ts";
import { gateway, listenerName, route } from "./gateway-api.ts";
import { edgePatches } from "./istio-patches.ts";
import type { Placement } from "./placement.ts";

const NETWORKING = "networking.istio.io";
const PROVIDER = "mcp-authz";
const ACCESS_LOG = "mcp-access-log";

/** What Istio cannot say, beside what no mesh can. */
export function checkIstio(config: Config, problem: Report): void {
  checkBackendTls(config, problem);
  if (config.envoy.tls.listen?.clientCaFile != null)
    problem(
      "envoy.tls.listen.clientCaFile",
      "an Istio gateway asks no client for a certificate that it need not have: leave it out, or use envoy-gateway",
    );
}

/** Istio's own Gateway refuses short names. */
export function checkIstioHosts({ selector, hostnames: [own, ...others] }: Placement, problem: Report): void {
  if (selector === null) return;
  const tell = (key: string, name: string) =>
    problem(
      key,
      `"${name}" is a short name, which Istio's own Gateway does not take: name it in full, or leave out --selector`,
    );
  if (own !== undefined && !own.includes(".")) tell("publicOrigin", own);
  for (const name of others) if (!name.includes(".")) tell("hosts", name);
}

export function istioManifests(config: Config, placement: Placement): Manifest[] {
  const { namespace } = placement;
  const own = (apiVersion: string, kind: string, spec: object): Manifest => ({
    apiVersion,
    kind,
    metadata: { name: NAME, namespace },
    spec,
  });
  return [
    ...(placement.selector === null ? gatewayApiRoutes(config, placement) : ownRoutes(config, placement)),
    ...serviceEntries(placement),
    ...MESH_PARTS.map((part) => destinationRule(config, placement, part)),
    own("security.istio.io/v1", "AuthorizationPolicy", {
      ...attached(placement, "matchLabels"),
      action: "CUSTOM",
      provider: { name: PROVIDER },
      rules: [{}], // every request: a list of paths can be walked round, and without rules none is asked about
    }),
    own("telemetry.istio.io/v1", "Telemetry", {
      ...attached(placement, "matchLabels"),
      accessLogging: [{ providers: [{ name: ACCESS_LOG }] }],
    }),
    own(`${NETWORKING}/v1alpha3`, "EnvoyFilter", {
      ...(placement.selector === null
        ? attached(placement, "labels")
        : { workloadSelector: { labels: labels(placement.selector) } }),
      configPatches: edgePatches(config),
    }),
  ];
}

/** The part of MeshConfig that names serve. It is the mesh's, beside the providers that are there. */
export function istioMeshConfig(config: Config, placement: Placement): object {
  const { authz } = placement;
  return {
    extensionProviders: [
      {
        name: PROVIDER,
        envoyExtAuthzGrpc: {
          service: hostOf(placement, "authz"),
          port: authz.port,
          timeout: duration(decisionTimeoutMs(config)), // default 600s
          failOpen: false,
          statusOnError: "503", // default 403, which clients take for a refusal
          includeRequestBodyInCheck: {
            maxRequestBytes: config.limits.bodyBytes,
            allowPartialMessage: false,
            packAsBytes: true,
          },
        },
      },
      // Istio's default format holds queries.
      { name: ACCESS_LOG, envoyFileAccessLog: { path: "/dev/stdout", logFormat: { labels: ACCESS_FIELDS } } },
    ],
  };
}

/** Which gateway a policy is for. */
function attached({ selector }: Placement, member: string): object {
  if (selector === null) return { targetRefs: [{ group: GATEWAY_API, kind: "Gateway", name: NAME }] };
  return { selector: { [member]: labels(selector) } };
}

function labels({ key, value }: NonNullable<Placement["selector"]>): object {
  return { [key]: value };
}

function gatewayApiRoutes(config: Config, placement: Placement): Manifest[] {
  return [
    gateway(config, placement, { gatewayClassName: "istio" }),
    ...referenceGrants(placement, { authz: null, broker: { group: GATEWAY_API, kind: "HTTPRoute" } }),
    route(config, placement, { to: brokerRef(placement) }),
  ];
}

function brokerRef(placement: Placement): object {
  const to = placement.broker;
  if (to.kind !== "service")
    return { group: NETWORKING, kind: "Hostname", name: hostOf(placement, "broker"), port: to.port };
  return { group: "", kind: "Service", name: to.name, namespace: to.namespace, port: to.port };
}

function ownRoutes(config: Config, placement: Placement): Manifest[] {
  const { namespace, hostnames, port, selector, broker } = placement;
  const name = listenerName(config);
  const server = {
    port: { number: port, name, protocol: name.toUpperCase() },
    hosts: hostnames,
    ...(name === "https" && {
      tls: { mode: "SIMPLE", credentialName: TLS_OBJECTS.gateway, minProtocolVersion: "TLSV1_2" },
    }),
  };
  const own = (kind: string, spec: object): Manifest => ({
    apiVersion: `${NETWORKING}/v1`,
    kind,
    metadata: { name: NAME, namespace },
    spec,
  });
  return [
    own("Gateway", { selector: selector === null ? {} : labels(selector), servers: [server] }),
    own("VirtualService", {
      hosts: hostnames,
      gateways: [NAME],
      http: [
        {
          route: [{ destination: { host: hostOf(placement, "broker"), port: { number: broker.port } } }],
          headers: { response: { remove: brokerOnlyHeaders(config) } },
          retries: { attempts: 0 }, // default: two
        },
      ],
    }),
  ];
}

/** The host that Istio knows a part under. */
function hostOf(placement: Placement, part: MeshPart): string {
  const to = placement[part];
  if (to.kind === "service") return `${to.name}.${to.namespace}.svc.cluster.local`;
  return to.kind === "dns" ? to.host : `${NAME}-${part}.${placement.namespace}.internal`;
}

/** What is no Service needs an entry. */
function serviceEntries(placement: Placement): Manifest[] {
  return MESH_PARTS.flatMap((part) => {
    const to = placement[part];
    if (to.kind === "service") return [];
    const protocol = part === "authz" ? "GRPC" : "HTTP";
    return [
      {
        apiVersion: `${NETWORKING}/v1`,
        kind: "ServiceEntry",
        metadata: { name: `${NAME}-${part}`, namespace: placement.namespace },
        spec: {
          hosts: [hostOf(placement, part)],
          ports: [{ number: to.port, name: protocol.toLowerCase(), protocol }],
          location: "MESH_EXTERNAL",
          ...(to.kind === "ip"
            ? { resolution: "STATIC", endpoints: [{ address: to.address }] }
            : { resolution: "DNS" }),
        },
      },
    ];
  });
}

function destinationRule(config: Config, placement: Placement, part: MeshPart): Manifest {
  const { sessions, envoy } = config;
  const said = envoy.tls[part];
  const { connections, pending } = BROKER_CALLS;
  const pool =
    part === "authz"
      ? { http: { http1MaxPendingRequests: CHECKS, http2MaxRequests: CHECKS } }
      : {
          tcp: { maxConnections: connections },
          http: { http1MaxPendingRequests: pending, http2MaxRequests: connections },
        };
  const isSticky = part === "broker" && sessions !== null;
  return {
    apiVersion: `${NETWORKING}/v1`,
    kind: "DestinationRule",
    metadata: { name: `${NAME}-${part}`, namespace: placement.namespace },
    spec: {
      host: hostOf(placement, part),
      exportTo: ["."],
      trafficPolicy: {
        connectionPool: pool,
        // Requests of a session go to one replica of the broker.
        ...(isSticky && { loadBalancer: { consistentHash: { httpHeaderName: "mcp-session-id" } } }),
        ...(said !== null && {
          tls: {
            mode: said.certFile === null ? "SIMPLE" : "MUTUAL",
            credentialName: TLS_OBJECTS.towards[part],
            sni: said.serverName,
            subjectAltNames: [said.serverName],
          },
        }),
      },
    },
  };
}

/** Commands that make the Secrets that the gateway's proxies get from istiod. */
export function istioSecrets({ envoy: { tls } }: Config, placement: Placement): string[] {
  const generic = (name: string, files: readonly (readonly [string, string | null])[]) => {
    const from = files.flatMap(([key, file]) => (file === null ? [] : [`--from-file=${key}=${file}`]));
    return `kubectl -n ${placement.namespace} create secret generic ${name} ${from.join(" ")}`;
  };
  const { listen } = tls;
  const own =
    listen === null
      ? []
      : [
          `kubectl -n ${placement.namespace} create secret tls ${TLS_OBJECTS.gateway} --cert=${listen.certFile} --key=${listen.keyFile}`,
        ];
  const towards = MESH_PARTS.flatMap((part) => {
    const said = tls[part];
    if (said === null) return [];
    const { certFile, keyFile, caFile } = said;
    return [
      generic(TLS_OBJECTS.towards[part], [
        ["tls.crt", certFile],
        ["tls.key", keyFile],
        ["ca.crt", caFile],
      ]),
    ];
  });
  return [...own, ...towards];
}
