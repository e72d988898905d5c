// The callers without an access token of a configuration, as ports. Pure.
import type { Ports } from "../authz/ports.ts";
import { serversOfKey } from "../config/callers.ts";
import type { Config } from "../config/load.ts";
import { createTokenless, type TokenlessDeps } from "../identity/tokenless.ts";
import { createApiKeys, type ApiKeyDeps } from "../identity/api-keys.ts";

export function identifyKeyOf(config: Config, deps: ApiKeyDeps): Ports["identifyKey"] {
  const { apiKeys } = config.identity;
  if (apiKeys.length === 0) return undefined;
  return createApiKeys(
    apiKeys.map((key) => ({
      ...key,
      expiresAt: key.expires === null ? null : Math.floor(Date.parse(key.expires) / 1000),
      opens: serversOfKey(config, key),
    })),
    deps,
  );
}

export function identifyTokenlessOf({ identity, servers }: Config, deps: TokenlessDeps): Ports["identifyTokenless"] {
  const publicServers = new Set(Object.entries(servers).flatMap(([name, server]) => (server.public ? [name] : [])));
  const { proxies, development } = identity;
  if (proxies.length === 0 && development === null && publicServers.size === 0) return undefined;
  return createTokenless({ proxies, development, publicServers }, deps);
}
