// The keys of a configuration, as the port `identifyKey`. Pure.
import type { Ports } from "../authz/ports.ts";
import { serversOfKey } from "../config/callers.ts";
import type { Config } from "../config/load.ts";
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
