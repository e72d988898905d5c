// Where a mesh finds what: hosts, the gateway's port, serve and the broker; and what of a configuration no mesh can say. Pure.
// https://gateway-api.sigs.k8s.io/reference/spec/#hostname
import { isIP } from "node:net";
import type { Report } from "../../config/problem.ts";
import type { Config } from "../../config/schema.ts";
import type { ListenAddress } from "../../http/listen.ts";

export interface MeshOptions {
  /** Namespace of what is printed; null: that of serve's Service, or `mcp`. */
  readonly namespace: string | null;
  /** Istio: the label of the pods of a gateway that is there already; null: a Gateway of its own, by Gateway API. */
  readonly selector?: Label | null | undefined;
}

export interface Label {
  readonly key: string;
  readonly value: string;
}

/** What a mesh sends requests to. */
export type Destination =
  | { readonly kind: "service"; readonly name: string; readonly namespace: string; readonly port: number }
  | { readonly kind: "ip"; readonly address: string; readonly port: number }
  | { readonly kind: "dns"; readonly host: string; readonly port: number };

export interface Placement {
  readonly namespace: string;
  /** Without port, without addresses. */
  readonly hostnames: readonly string[];
  /** Of the gateway. */
  readonly port: number;
  readonly authz: Destination;
  readonly broker: Destination;
  readonly selector: Label | null;
}

const SERVICE =
  /^([a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)\.([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\.svc(?:\.cluster\.local)?$/;
/** HTTPRoute takes as many. */
const MAX_HOSTNAMES = 16;
export const DEFAULT_NAMESPACE = "mcp";

/** @returns the placement, or null with at least one problem told */
export function placementOf(config: Config, options: MeshOptions, problem: Report): Placement | null {
  let faults = 0;
  const tell: Report = (key, message) => {
    faults += 1;
    problem(key, message);
  };
  checkRouting(config, tell);
  const { envoy } = config;
  const hostnames = hostnamesOf(config, tell);
  const authz = destination(config, "authz", tell);
  const broker = destination(config, "broker", tell);
  if (envoy.listen.kind === "unix")
    tell("envoy.listen", "is a socket, and clients of a mesh come by TCP: name a port, such as 0.0.0.0:8080");
  if (faults > 0 || authz === null || broker === null || envoy.listen.kind === "unix") return null;
  const own = authz.kind === "service" ? authz.namespace : DEFAULT_NAMESPACE;
  return {
    namespace: options.namespace ?? own,
    hostnames,
    port: envoy.listen.port,
    authz,
    broker,
    selector: options.selector ?? null,
  };
}

/**
 * The printed Envoy guards a direct route by filters of each route (which headers pass, which responses, a bound per caller)
 * and by metadata that only the Check sets. No mesh has these in its own kinds.
 */
function checkRouting(config: Config, problem: Report): void {
  for (const [name, server] of Object.entries(config.servers)) {
    const isOwn = server.callRouting !== null;
    if ((server.callRouting ?? config.callRouting) === "broker") continue;
    problem(
      isOwn ? `servers.${name}.callRouting` : "callRouting",
      `direct is for the Envoy that envoy-config prints: say broker, so that the calls of "${name}" are relayed`,
    );
    if (!isOwn) return;
  }
}

function hostnamesOf({ publicOrigin, hosts }: Config, problem: Report): string[] {
  const own = new URL(publicOrigin).hostname;
  const all = [...new Set([own, ...hosts])];
  for (const host of all) {
    if (isIP(host.replace(/^\[|\]$/g, "")) === 0 && HOSTNAME.test(host)) continue;
    const key = host === own ? "publicOrigin" : "hosts";
    problem(key, `"${host}" cannot be the host name of a route: name a DNS name, or leave it out`);
  }
  if (all.length > MAX_HOSTNAMES)
    problem("hosts", `a route takes ${MAX_HOSTNAMES} host names, publicOrigin among them`);
  return all;
}

const HOSTNAME = /^(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;

/** An address of the listener itself is for the data plane beside it: a mesh's gateway is elsewhere, unless somebody says so. */
function destination(config: Config, name: "authz" | "broker", problem: Report): Destination | null {
  const said = config.envoy[`${name}Address`];
  const address = said ?? config.listen[name];
  const example = `name its Service, such as mcp-${name}.mcp.svc.cluster.local:${name === "authz" ? 9001 : 9003}`;
  const fault = faultOf(address, said !== null);
  if (address.kind === "unix" || fault !== null) {
    const where = said === null ? `is not set, and listen.${name} ` : "";
    problem(`envoy.${name}Address`, `${where}${fault ?? ""}: ${example}`);
    return null;
  }
  const { host, port } = address;
  const [, service, namespace] = SERVICE.exec(host) ?? [];
  if (service !== undefined && namespace !== undefined) return { kind: "service", name: service, namespace, port };
  return isIP(host) === 0 ? { kind: "dns", host, port } : { kind: "ip", address: host, port };
}

/** Why a gateway elsewhere cannot use this address, or null. */
function faultOf(address: ListenAddress, isSaid: boolean): string | null {
  if (address.kind === "unix") return "is a socket, which a mesh's gateway does not reach";
  const { host } = address;
  if (!isSaid && isOwnHost(host)) return `is ${host}, no address for others`;
  return isIP(host) !== 0 || HOSTNAME.test(host) ? null : `names "${host}", which is no DNS name`;
}

function isOwnHost(host: string): boolean {
  return host === "localhost" || host === "::" || host === "0.0.0.0" || host === "::1" || host.startsWith("127.");
}

/** True if the gateway's own host (or pod) would have to have it. */
export function isLoopback(to: Destination): boolean {
  return to.kind === "ip" ? isOwnHost(to.address) : to.kind === "dns" && to.host === "localhost";
}

/** A duration as Gateway API takes it: whole units, up to five digits each. @param ms milliseconds */
export function gatewayDuration(ms: number): string {
  const units: readonly (readonly [string, number])[] = [
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1000],
    ["ms", 1],
  ];
  let rest = Math.ceil(ms);
  const parts = units.map(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest %= size;
    return count === 0 ? "" : `${count}${unit}`;
  });
  return parts.join("") || "0s";
}
