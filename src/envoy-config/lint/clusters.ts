// Where the clusters of an Envoy lead, and whether the way is encrypted. Pure.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/cluster/v3/cluster.proto
import type { Dump } from "./dump.ts";
import { at, hasAt, listAt, numberAt, textAt, typedOf, type Fields } from "./fields.ts";

/** `host:port` or `unix:path` of every endpoint that is known. */
export function addressesOf(dump: Dump, name: string): string[] {
  const cluster = dump.clusters.get(name);
  const assignments = [at(cluster, "load_assignment"), dump.endpoints.get(name)];
  const known = assignments.flatMap((assignment) =>
    listAt(assignment, "endpoints").flatMap((locality) =>
      listAt(locality, "lb_endpoints").map((endpoint) => addressText(at(endpoint, "endpoint", "address"))),
    ),
  );
  return [...new Set([...known, ...ofMesh(name)])].filter((address) => address !== "");
}

/** A cluster of Istio says its service in its name: `outbound|80||host`. */
function ofMesh(name: string): string[] {
  const [, port, , host] = name.split("|");
  return host === undefined || port === undefined ? [] : [`${host}:${port}`];
}

/** Empty for an address of another kind. */
export function addressText(address: unknown): string {
  const pipe = textAt(address, "pipe", "path");
  if (pipe !== "") return `unix:${pipe}`;
  const host = textAt(address, "socket_address", "address");
  if (host === "") return "";
  const port = numberAt(address, "socket_address", "port_value");
  return `${host.includes(":") ? `[${host}]` : host}:${port ?? textAt(address, "socket_address", "named_port")}`;
}

export function hostOf(address: string): string {
  return address.replace(/:[^:\]]*$/, "").replaceAll(/^\[|\]$/g, "");
}

export function isLocal(address: string): boolean {
  const host = hostOf(address);
  return address.startsWith("unix:") || host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** TLS contexts towards a cluster; empty where it is spoken to in plain text. */
export function tlsOf(cluster: Fields | undefined): Fields[] {
  const sockets = [
    at(cluster, "transport_socket"),
    ...listAt(cluster, "transport_socket_matches").map((match) => at(match, "transport_socket")),
  ];
  return sockets.flatMap((socket) => {
    const { type, fields } = typedOf(at(socket, "typed_config"));
    return type.endsWith(".UpstreamTlsContext") || type.endsWith(".QuicUpstreamTransport") ? [fields] : [];
  });
}

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

export function speaksHttp2(cluster: Fields | undefined): boolean {
  const options = at(cluster, "typed_extension_protocol_options", HTTP_OPTIONS);
  const isAuto = hasAt(options, "auto_config", "http2_protocol_options") && tlsOf(cluster).length > 0;
  return (
    hasAt(cluster, "http2_protocol_options") ||
    hasAt(options, "explicit_http_config", "http2_protocol_options") ||
    hasAt(options, "use_downstream_protocol_config", "http2_protocol_options") ||
    isAuto
  );
}
