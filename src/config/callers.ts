// What a configuration says of callers without an access token, for the pipeline and for rules. Pure.
import type { PresentedSettings } from "../authz/presented.ts";
import { ANONYMOUS_ISSUER, API_KEY_ISSUER, DEVELOPMENT_ISSUER, proxyIssuer } from "../authz/own-issuers.ts";
import type { Config } from "./schema.ts";

type Callers = Pick<Config, "identity" | "servers">;

/** Names of the headers in which callers present something; `authorization` aside. Each is removed before a server. */
export function callerHeaders({ identity }: Pick<Config, "identity">): string[] {
  return [...new Set([...keyHeaders(identity), ...(takesProofs(identity) ? ["dpop"] : []), ...proxyHeaders(identity)])];
}

function keyHeaders({ apiKeys }: Config["identity"]): string[] {
  return apiKeys.flatMap(({ header }) => header ?? []);
}

export function proxyHeaders({ proxies }: Config["identity"]): string[] {
  return proxies.flatMap(({ headers }) => Object.values(headers).filter((name) => name !== null));
}

function takesProofs({ issuers }: Config["identity"]): boolean {
  return issuers.some(({ dpop }) => dpop !== "off");
}

/** Whether bound tokens are taken, and whether others are; null for neither. */
export function dpopOf({ identity }: Pick<Config, "identity">): "accepted" | "required" | null {
  if (!takesProofs(identity)) return null;
  return identity.issuers.every(({ dpop }) => dpop === "required") ? "required" : "accepted";
}

export function presentedSettings({ identity }: Pick<Config, "identity">): PresentedSettings {
  return {
    keyHeaders: new Set(keyHeaders(identity)),
    basic: identity.apiKeys.some(({ basic }) => basic),
    dpop: takesProofs(identity),
    proxyHeaders: new Set(proxyHeaders(identity)),
  };
}

/** Aliases that no issuer of the configuration may have. */
export function ownAliases(config: Callers): ReadonlySet<string> {
  const issuers = new Set(config.identity.issuers.map(({ issuer }) => issuer));
  return new Set([...issuerAliases(config)].flatMap(([issuer, alias]) => (issuers.has(issuer) ? [] : (alias ?? []))));
}

/** What `{issuerAlias}` stands for, by issuer; null where an issuer has none. */
export function issuerAliases({ identity, servers }: Callers): ReadonlyMap<string, string | null> {
  const { proxies, development } = identity;
  const isPublic = Object.values(servers).some((server) => server.public);
  return new Map([
    ...identity.issuers.map(({ issuer, alias }) => [issuer, alias] as const),
    ...(identity.apiKeys.length > 0 ? [[API_KEY_ISSUER, "api-key"] as const] : []),
    ...proxies.map(({ name }) => [proxyIssuer(name), `proxy-${name}`] as const),
    ...(development === null ? [] : [[DEVELOPMENT_ISSUER, "development"] as const]),
    ...(isPublic ? [[ANONYMOUS_ISSUER, "anonymous"] as const] : []),
  ]);
}

/** The servers that a key opens: those that it names, where the server does not name other keys. */
export function serversOfKey({ servers }: Callers, key: Config["identity"]["apiKeys"][number]): Set<string> {
  const named = Object.entries(servers).filter(([server, { apiKeys }]) => {
    const isNamed = key.servers === null || key.servers.includes(server);
    return isNamed && (apiKeys === null || apiKeys.includes(key.name));
  });
  return new Set(named.map(([server]) => server));
}
