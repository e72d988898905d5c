// What the manifests of every mesh share: names, references to backends, what must be there before. Pure.
import { isIP } from "node:net";
import type { Report } from "../../config/problem.ts";
import type { Config } from "../../config/schema.ts";
import type { Destination, Placement } from "./placement.ts";

/** A manifest of Kubernetes. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [member: string]: unknown;
}

export const GATEWAY_API = "gateway.networking.k8s.io";
/** The name of every object that is ours alone. */
export const NAME = "mcp";

/** Objects that hold certificates: what is printed names them, and who installs makes them. */
export const TLS_OBJECTS = {
  gateway: "mcp-gateway-tls",
  clientCa: "mcp-client-ca",
  client: "mcp-gateway-client",
  ca: { authz: "mcp-authz-ca", broker: "mcp-broker-ca" },
  towards: { authz: "mcp-authz-tls", broker: "mcp-broker-tls" },
} as const;

/** The filter that ends a body over the limit before anything else sees it. Its type is one that meshes do not know by name. */
export function bodyLimitFilter({ limits }: Config): object {
  return {
    name: "envoy.filters.http.body_size_limit",
    typed_config: {
      "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
      type_url: "type.googleapis.com/envoy.extensions.filters.http.body_size_limit.v3.BodySizeLimit",
      value: { max_request_bytes: limits.bodyBytes },
    },
  };
}

export const MESH_PARTS = ["authz", "broker"] as const;
export type MeshPart = (typeof MESH_PARTS)[number];

/** Problems of TLS towards serve and the broker that no mesh's kinds can say. */
export function checkBackendTls({ envoy: { tls } }: Config, problem: Report): void {
  for (const part of MESH_PARTS) {
    const name = tls[part]?.serverName;
    if (name !== undefined && isIP(name) !== 0)
      problem(`envoy.tls.${part}.serverName`, `"${name}" is an address: a mesh checks certificates by a DNS name`);
  }
  const [authz, broker] = [tls.authz, tls.broker];
  if (authz !== null && broker !== null && (authz.certFile !== broker.certFile || authz.keyFile !== broker.keyFile))
    problem(
      "envoy.tls.broker.certFile",
      "a gateway has one certificate of its own: name that of envoy.tls.authz here, too",
    );
}

/** Commands that make the objects with certificates, in the form of comment lines. */
export function tlsCommands({ envoy: { tls } }: Config, { namespace, authz, broker }: Placement): string[] {
  const secret = (name: string, files: { certFile: string; keyFile: string }) =>
    `kubectl -n ${namespace} create secret tls ${name} --cert=${files.certFile} --key=${files.keyFile}`;
  const ca = (name: string, file: string, where: string) =>
    `kubectl -n ${where} create configmap ${name} --from-file=ca.crt=${file}`;
  const lines: string[] = [];
  if (tls.listen !== null) {
    lines.push(secret(TLS_OBJECTS.gateway, tls.listen));
    if (tls.listen.clientCaFile !== null) lines.push(ca(TLS_OBJECTS.clientCa, tls.listen.clientCaFile, namespace));
  }
  const own = MESH_PARTS.map((part) => tls[part]).find((one) => one?.certFile != null && one.keyFile !== null);
  if (own?.certFile != null && own.keyFile !== null)
    lines.push(secret(TLS_OBJECTS.client, { certFile: own.certFile, keyFile: own.keyFile }));
  for (const part of MESH_PARTS) {
    const files = tls[part];
    if (files !== null)
      lines.push(ca(TLS_OBJECTS.ca[part], files.caFile, namespaceOf({ authz, broker }[part], namespace)));
  }
  return lines;
}

/** True if the gateway shows a certificate of its own to serve or to the broker. */
export function showsCertificate({ envoy: { tls } }: Config): boolean {
  return MESH_PARTS.some((part) => tls[part]?.certFile != null);
}

/** Where objects that speak of this destination are. */
export function namespaceOf(to: Destination, own: string): string {
  return to.kind === "service" ? to.namespace : own;
}

/**
 * Verified TLS towards serve and the broker, where the configuration has it.
 * @param targetOf the object that a policy is for; the name of a Service, or null for a destination that is none
 */
export function backendTlsPolicies(
  { envoy: { tls } }: Config,
  placement: Placement,
  targetOf: (part: MeshPart, service: string | null) => object,
): Manifest[] {
  return MESH_PARTS.flatMap((part) => {
    const to = placement[part];
    const said = tls[part];
    if (said === null) return [];
    const caCertificateRefs = [{ group: "", kind: "ConfigMap", name: TLS_OBJECTS.ca[part] }];
    return [
      {
        apiVersion: `${GATEWAY_API}/v1`,
        kind: "BackendTLSPolicy",
        metadata: { name: `${NAME}-${part}`, namespace: namespaceOf(to, placement.namespace) },
        spec: {
          targetRefs: [targetOf(part, to.kind === "service" ? to.name : null)],
          validation: { caCertificateRefs, hostname: said.serverName },
        },
      },
    ];
  });
}

/** Lets our routes and policies name Services of other namespaces. */
export function referenceGrants(
  { namespace, authz, broker }: Placement,
  kinds: Readonly<Record<MeshPart, object | null>>,
): Manifest[] {
  return MESH_PARTS.flatMap((part) => {
    const to = { authz, broker }[part];
    if (kinds[part] === null || to.kind !== "service" || to.namespace === namespace) return [];
    return [
      {
        apiVersion: `${GATEWAY_API}/v1beta1`,
        kind: "ReferenceGrant",
        metadata: { name: `${NAME}-${part}`, namespace: to.namespace },
        spec: { from: [{ ...kinds[part], namespace }], to: [{ group: "", kind: "Service", name: to.name }] },
      },
    ];
  });
}
