// What a configuration of ours says about the Envoy before it; without one, what holds for every configuration. Pure.
import { directCluster } from "../values.ts";
import { managedHeaders } from "../../authz/grant.ts";
import { callerHeaders } from "../../config/callers.ts";
import { managedOf } from "../../config/settings.ts";
import type { Config } from "../../config/schema.ts";
import type { ListenAddress } from "../../http/listen.ts";
import { decisionTimeoutMs } from "../ext-authz.ts";
import { CHECK_READS } from "../listeners.ts";

export interface Expected {
  readonly hasConfig: boolean;
  /** Addresses (`host:port`, `unix:path`) of serve. */
  readonly authz: ReadonlySet<string>;
  /** Addresses of the broker and of the servers. */
  readonly targets: ReadonlySet<string>;
  /** Names of clusters as `envoy-config` prints them. */
  readonly isPrinted: (cluster: string) => boolean;
  /** Managed headers that a client has no use for: gone before a route is chosen. */
  readonly stripped: readonly string[];
  /** Managed headers that the Check reads. */
  readonly reads: readonly string[];
  readonly managed: readonly string[];
  readonly routeHeader: string | null;
  readonly bodyBytes: number | null;
  readonly decisionMs: number | null;
  readonly trustedHops: number | null;
  /** A stream that goes on is never silent for longer. */
  readonly silenceMs: number;
  readonly isPlainAllowed: (host: string) => boolean;
}

const WRISTBAND_HEADER = "x-authorized-tools";
const DEFAULT_SILENCE_MS = 15_000;

export function expectedOf(config: Config | null): Expected {
  return config === null ? expectedOfAny() : expectedOfConfig(config);
}

function expectedOfAny(): Expected {
  const managed = managedHeaders(WRISTBAND_HEADER, null, []);
  return {
    hasConfig: false,
    authz: new Set(),
    targets: new Set(),
    isPrinted: () => false,
    ...headersOf(managed, CHECK_READS),
    routeHeader: null,
    bodyBytes: null,
    decisionMs: null,
    trustedHops: null,
    silenceMs: DEFAULT_SILENCE_MS,
    isPlainAllowed: () => false,
  };
}

function expectedOfConfig(config: Config): Expected {
  const { envoy, listen, servers } = config;
  const urls = Object.values(servers).map(({ url }) => addressOfUrl(url));
  const printed = new Set([
    "mcp_broker",
    ...Object.entries(servers).map(([name, { url }]) => directCluster(name, url)),
  ]);
  return {
    hasConfig: true,
    authz: new Set([textOf(envoy.authzAddress ?? listen.authz), textOf(listen.authz)]),
    targets: new Set([textOf(envoy.brokerAddress ?? listen.broker), textOf(listen.broker), ...urls]),
    isPrinted: (cluster) => printed.has(cluster) || printed.has(cluster.replace(/_\d+$/, "")),
    ...headersOf(managedOf(config), new Set([...CHECK_READS, ...callerHeaders(config)])),
    routeHeader: config.routeHeader,
    bodyBytes: config.limits.bodyBytes,
    decisionMs: decisionTimeoutMs(config),
    trustedHops: envoy.trustedHops,
    silenceMs: config.limits.keepAliveSeconds * 1000,
    isPlainAllowed: (host) => listen.plaintext || config.allowHttp.includes(host),
  };
}

function headersOf(managed: readonly string[], read: ReadonlySet<string>) {
  return {
    managed,
    stripped: managed.filter((name) => !read.has(name)),
    reads: managed.filter((name) => read.has(name)),
  };
}

function textOf(address: ListenAddress): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

function addressOfUrl(url: string): string {
  const { hostname, port, protocol } = new URL(url);
  const usual = protocol === "https:" ? "443" : "80";
  return `${hostname}:${port === "" ? usual : port}`;
}

/** Kubernetes lets the last part of a name of a service away. */
export function withoutZone(address: string): string {
  return address.replace(/\.svc\.cluster\.local(?=:)/, ".svc");
}
