// The gateway's names in lists as its targets' own: it prefixes those of several targets. Pure.
// https://agentgateway.dev/docs (mcp.prefixMode)
import type { Kind } from "../mcp/operation.ts";

/** When the gateway prefixes names: with several targets alone, or with one too. Unprefixed names of several targets belong to nobody. */
export type PrefixMode = "conditional" | "always";

export interface Own {
  readonly server: string;
  readonly name: string;
}

/** `TARGET_NAME` for tools and prompts, `TARGET+URI` for resources. Null for a name that is of no target, which is not shown. */
export function ownName(
  { services, mode }: { readonly services: readonly string[]; readonly mode: PrefixMode },
  kind: Kind,
  shown: string,
): Own | null {
  const [only = ""] = services;
  if (shown === "") return null;
  if (services.length === 1 && mode === "conditional") return { server: only, name: shown };
  const cut = shown.indexOf(kind === "resource" ? "+" : "_");
  const own = { server: shown.slice(0, Math.max(cut, 0)), name: shown.slice(cut + 1) };
  return services.includes(own.server) && own.name !== "" ? own : null;
}
