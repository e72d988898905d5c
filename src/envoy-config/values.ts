// Values that several parts of the printed Envoy share. Pure.
import { destinationOf } from "../authz/destination.ts";
import type { ListenAddress } from "../http/listen.ts";

/** An address as Envoy writes it. */
export function socketAddress(address: ListenAddress): object {
  if (address.kind === "unix") return { pipe: { path: address.path, mode: 0o600 } };
  return { socket_address: { address: address.host, port_value: address.port } };
}

export function typed(name: string, type: string, fields: object): object {
  return { name, typed_config: { "@type": `type.googleapis.com/${type}`, ...fields } };
}

/** The most that a limit of Envoy can be. */
export const UNLIMITED = 4_294_967_295;

export const EXT_AUTHZ = "envoy.filters.http.ext_authz";

export function serverCluster(name: string): string {
  return `server_${name}`;
}

/** The cluster of a server's URL: routes and clusters are taken at different times, so another URL is another cluster. */
export function directCluster(name: string, url: string): string {
  return `${serverCluster(name)}_${destinationOf(url)}`;
}

/** A duration of whole milliseconds: Envoy takes nine digits behind the point, and a sum of fractions may have more. */
export function duration(milliseconds: number): string {
  return `${milliseconds / 1000}s`;
}

/** Time for a request to arrive, from its first byte to its last. */
export const REQUEST_SECONDS = 10;
/** Longest pause of a body. */
export const PAUSE_SECONDS = 5;

/** A set as Lua writes it. Names of headers have no quotation mark and no backslash (config/schema/values.ts). */
export function luaSet(names: Iterable<string>): string {
  const members = [...new Set(names)].sort().map((name) => `["${name}"] = true`);
  return `{ ${members.join(", ")} }`;
}
