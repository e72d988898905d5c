// Rules of callers without an access token. Pure.
import { hash } from "node:crypto";
import { serversOfKey } from "../callers.ts";
import { callerFault } from "./headers.ts";
import type { Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";
import { isLoopback } from "../schema/values.ts";

/** What somebody gets who hashes nothing, or a line break. */
const EMPTY = new Set(["", "\n"].map((text) => hash("sha256", text)));

export function checkApiKeys(config: Config, { problem, warn }: Reporter): void {
  const names = new Set<string>();
  const digests = new Set<string>();
  config.identity.apiKeys.forEach((key, i) => {
    const at = `identity.apiKeys[${i}]`;
    if (names.has(key.name)) problem(`${at}.name`, "is another key's too: to replace a key, give it two sha256");
    names.add(key.name);
    checkDigests(at, { key, digests }, problem);
    if (key.header === null && !key.bearer && !key.basic)
      problem(at, "cannot be sent: name a header, or say bearer: true or basic: true");
    if (key.header === "authorization")
      problem(`${at}.header`, "say bearer: true or basic: true in place of authorization");
    for (const server of key.servers ?? [])
      if (!Object.hasOwn(config.servers, server)) problem(`${at}.servers`, `${server} is none of servers`);
    if (serversOfKey(config, key).size === 0) warn(at, "opens no server");
  });
  for (const [server, { apiKeys }] of Object.entries(config.servers))
    for (const name of apiKeys ?? [])
      if (!names.has(name)) problem(`servers.${server}.apiKeys`, `${name} is none of identity.apiKeys`);
  checkPlaces(config, problem);
}

interface Digests {
  readonly key: Config["identity"]["apiKeys"][number];
  /** Of the keys before. */
  readonly digests: Set<string>;
}

function checkDigests(at: string, { key, digests }: Digests, problem: Reporter["problem"]): void {
  for (const digest of key.sha256) {
    if (digests.has(digest)) problem(`${at}.sha256`, "is listed twice: one key is one caller");
    digests.add(digest);
    if (EMPTY.has(digest)) problem(`${at}.sha256`, "is the digest of nothing: hash the key, without a line break");
  }
}

/** A header of callers is removed before a server, so it can be neither the wristband's nor the route's. */
function checkPlaces(config: Config, problem: Reporter["problem"]): void {
  const own = ownHeaders(config);
  for (const { header } of config.identity.apiKeys)
    if (header !== null && header !== "authorization" && callerFault(header, own) !== null)
      problem("identity.apiKeys", `${header} has a meaning to HTTP, MCP or the gateway: choose another header`);
}

function ownHeaders(config: Config): ReadonlySet<string> {
  return new Set([config.wristband.header, config.routeHeader ?? ""]);
}

/** Of the names that data planes write, those that name a caller. */
const FORWARDED = /^x-forwarded-(?:user|email|groups|preferred-username)$/;

export function checkProxies(config: Config, { problem, warn }: Reporter): void {
  const { proxies, apiKeys } = config.identity;
  const [own, keyHeaders] = [ownHeaders(config), new Set(apiKeys.map(({ header }) => header))];
  const [names, sans] = [new Set<string>(), new Set<string>()];
  proxies.forEach((proxy, i) => {
    const at = `identity.proxies[${i}]`;
    if (names.has(proxy.name)) problem(`${at}.name`, "is another proxy's too");
    names.add(proxy.name);
    for (const san of proxy.sans) {
      if (sans.has(san)) problem(`${at}.sans`, `${san} is listed twice: one certificate is one proxy`);
      sans.add(san);
    }
    const headers = Object.values(proxy.headers).filter((name) => name !== null);
    if (new Set(headers).size !== headers.length) problem(`${at}.headers`, "names a header twice");
    for (const name of headers)
      if (keyHeaders.has(name) || (!FORWARDED.test(name) && callerFault(name, own) !== null))
        problem(`${at}.headers`, `${name} has a meaning to HTTP, MCP, keys or the gateway: choose another header`);
  });
  if (proxies.length > 0 && (config.envoy.tls.listen?.clientCaFile ?? null) === null)
    warn(
      "envoy.tls.listen.clientCaFile",
      "is not set: the printed Envoy asks for no certificate, so no proxy is ever known",
    );
}

/** The development identity is for one machine: whoever reaches a listener would be that caller. */
export function checkDevelopment(config: Config, { problem, warn }: Reporter): void {
  const { development } = config.identity;
  if (development === null) return;
  const { authz, ops, broker, brokerOps, authzen } = config.listen;
  const listeners = { "envoy.listen": config.envoy.listen, "envoy.opsListen": config.envoy.opsListen };
  const ours = { "listen.authz": authz, "listen.ops": ops, "listen.broker": broker, "listen.brokerOps": brokerOps };
  for (const [key, address] of Object.entries({ ...listeners, ...ours, "listen.authzen": authzen }))
    if (address?.kind === "tcp" && !isLoopback(address.host))
      problem("identity.development", `needs loopback everywhere, and ${key} is ${address.host}`);
  for (const host of [URL.parse(config.publicOrigin)?.hostname ?? "", ...config.hosts])
    if (!isLoopback(host)) problem("identity.development", `is for one machine: ${host} is a name that others reach`);
  warn("identity.development", `DEVELOPMENT: whoever sends no credential is ${development.subject}`);
}

export function checkPublic(config: Config, { problem, warn }: Reporter): void {
  for (const [name, server] of Object.entries(config.servers)) {
    if (!server.public) continue;
    if (server.apiKeys?.length === 0)
      problem(
        `servers.${name}.public`,
        "lets in who brings no key, and apiKeys: [] nobody who brings one: say one of both",
      );
    if (server.legacySse ?? config.legacySse)
      problem(
        `servers.${name}.public`,
        "has callers whom nothing tells apart, and a stream of HTTP+SSE belongs to one caller: say legacySse: false",
      );
    const isShared = server.credential.some(({ kind }) => kind !== "none" && kind !== "exchange");
    if (isShared)
      warn(`servers.${name}.public`, "its callers without a credential use the gateway's own, as policy allows");
  }
}
