// The `WWW-Authenticate` challenge of a refusal (RFC 6750 §3, RFC 9728 §5.1). Pure.
import { WELL_KNOWN } from "./endpoint.ts";
import type { Refused } from "./step.ts";

export interface ChallengeSettings {
  readonly publicOrigin: string;
  /** `scope="…"` of a 401; empty for none. */
  readonly scopes: readonly string[];
}

/**
 * Makes the header of a 401, or of a 403 that a token with more scopes would solve.
 * The origin comes from the configuration; the path is one of the endpoint table.
 * @param path the endpoint's path
 */
export function challenge(settings: ChallengeSettings, path: string, { reason, scopes }: Refused): string {
  const metadata = `${settings.publicOrigin}${WELL_KNOWN}${path}`;
  const parts = [`Bearer realm="${settings.publicOrigin}"`, `resource_metadata="${metadata}"`];
  if (reason === "scope_insufficient") parts.push('error="insufficient_scope"', `scope="${(scopes ?? []).join(" ")}"`);
  else {
    if (reason !== "token_missing") parts.push('error="invalid_token"');
    if (settings.scopes.length > 0) parts.push(`scope="${settings.scopes.join(" ")}"`);
  }
  return parts.join(", ");
}
