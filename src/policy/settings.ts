// What of the configuration changes the answers of a policy, beside its rules and data: a part of its revision. Pure.
import type { EnvoyRule } from "./envoy/entrypoint.ts";

/** Of the section `policy`: what the input holds. Left out is the default. */
export interface PolicySettings {
  readonly compat?: "authorino" | null;
  /** Names of request headers that policy sees. */
  readonly headers?: readonly string[];
  /** Time zones of `input.request.local`. */
  readonly zones?: readonly string[];
  /** `envoy`: there is no package `mcp.authz`, for no MCP call is decided. */
  readonly mode?: "mcp" | "envoy";
  /** The rule that decides the host's other paths; null for none. */
  readonly envoy?: (EnvoyRule & { readonly truncatedBody: "refuse" | "ask" }) | null;
}

/** The same text for the same settings, whatever their order; "" for the defaults, so that a revision is known before there is a configuration. */
export function settingsText({ compat = null, headers = [], zones = [], envoy = null }: PolicySettings): string {
  const set = {
    ...(compat === null ? {} : { compat }),
    ...(headers.length === 0 ? {} : { headers: [...new Set(headers)].toSorted() }),
    ...(zones.length === 0 ? {} : { zones: [...new Set(zones)].toSorted() }),
    ...(envoy === null ? {} : { envoy: [envoy.package, envoy.rule, envoy.truncatedBody] }),
  };
  return Object.keys(set).length === 0 ? "" : JSON.stringify(set);
}
