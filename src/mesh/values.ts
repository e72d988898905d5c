import type { Address } from "../config-schema.ts";

/** An address as Envoy writes it. */
export function socketAddress(address: Address): object {
  if (address.kind === "unix") return { pipe: { path: address.path, mode: 0o600 } };
  return { socket_address: { address: address.host, port_value: address.port } };
}

export function typed(name: string, type: string, fields: object): object {
  return { name, typed_config: { "@type": `type.googleapis.com/${type}`, ...fields } };
}

export const EXT_AUTHZ = "envoy.filters.http.ext_authz";

export function serverCluster(name: string): string {
  return `server_${name}`;
}

/** The largest body that a Check may hold. */
export const MAX_BODY_BYTES = 1024 * 1024;
