// Manifests in the kinds of Gateway API alone, for implementations that have its ExternalAuth filter with gRPC and bodies. Pure.
// https://gateway-api.sigs.k8s.io/geps/gep-1494/
import {
  backendTlsPolicies,
  checkBackendTls,
  GATEWAY_API,
  NAME,
  referenceGrants,
  showsCertificate,
  TLS_OBJECTS,
} from "./common.ts";
import type { Manifest, MeshPart } from "./common.ts";
import type { Report } from "../../config/problem.ts";
import type { Config } from "../../config/schema.ts";
import { gateway, route } from "./gateway-api.ts";
import type { Placement } from "./placement.ts";

/** `forwardBody.maxSize` is a number of 16 bits. */
const MAX_BODY_BYTES = 65_535;

/** What Gateway API cannot say, beside what no mesh can. */
export function checkKubernetes(config: Config, problem: Report): void {
  checkBackendTls(config, problem);
  const { envoy, limits } = config;
  const instead = "or print for istio or envoy-gateway";
  if (limits.bodyBytes > MAX_BODY_BYTES)
    problem(
      "limits.bodyBytes",
      `${limits.bodyBytes} is more than the ExternalAuth filter forwards: say ${MAX_BODY_BYTES} or less, ${instead}`,
    );
  if (envoy.trustedHops > 0)
    problem("envoy.trustedHops", `Gateway API does not say which proxies are believed: leave it out, ${instead}`);
  if (envoy.tls.listen?.clientCaFile != null)
    problem(
      "envoy.tls.listen.clientCaFile",
      `Gateway API has no certificates that clients may leave out: leave it out, ${instead}`,
    );
}

/** A backendRef of Gateway API is a Service. */
export function checkServices({ authz, broker }: Placement, problem: Report): void {
  for (const [part, to] of [
    ["authz", authz],
    ["broker", broker],
  ] as const) {
    if (to.kind !== "service")
      problem(
        `envoy.${part}Address`,
        `is no Service, and Gateway API sends requests to Services: name one, such as mcp-${part}.mcp.svc.cluster.local:${to.port}`,
      );
  }
}

export function kubernetesManifests(config: Config, placement: Placement): Manifest[] {
  const externalAuth = {
    type: "ExternalAuth",
    externalAuth: {
      protocol: "GRPC",
      backendRef: refTo("authz", placement),
      grpc: { allowedHeaders: [] }, // empty: all of them
      forwardBody: { maxSize: config.limits.bodyBytes },
    },
  };
  const certificate = { clientCertificateRef: { group: "", kind: "Secret", name: TLS_OBJECTS.client } };
  const fromRoute = { group: GATEWAY_API, kind: "HTTPRoute" };
  return [
    gateway(config, placement, {
      gatewayClassName: NAME,
      ...(showsCertificate(config) && { tls: { backend: certificate } }),
    }),
    ...referenceGrants(placement, { authz: fromRoute, broker: fromRoute }),
    ...backendTlsPolicies(config, placement, (_, name) => ({ group: "", kind: "Service", name })),
    route(config, placement, { to: refTo("broker", placement), before: [externalAuth] }),
  ];
}

function refTo(part: MeshPart, placement: Placement): object {
  const to = placement[part];
  if (to.kind !== "service") throw new Error(`${part} is no Service`); // checkServices has told it
  return { group: "", kind: "Service", name: to.name, namespace: to.namespace, port: to.port };
}
