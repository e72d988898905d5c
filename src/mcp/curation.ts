// Curation: what a server offers through the gateway, for every caller and before policy is asked. Pure; serve and broker
// share it, so that a name that one hides the other does not serve.
import { isWildcard, nameMatcher } from "./name-pattern.ts";
import type { Kind } from "./operation.ts";
import type { Target } from "./resolver.ts";

/** Patterns of a server's own names; `deny` wins. */
export interface NameFilter {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

export interface ServerCuration {
  readonly tools: NameFilter;
  readonly prompts: NameFilter;
  readonly resources: NameFilter;
  /** `deny`: only tools that `tools.allow` names exactly; a wildcard offers none. */
  readonly newTools: "policy" | "deny";
}

/** Names by kind and server. */
export interface NamesByServer {
  readonly tools: Readonly<Record<string, readonly string[]>>;
  readonly prompts: Readonly<Record<string, readonly string[]>>;
  readonly resources: Readonly<Record<string, readonly string[]>>;
}

export interface Curation {
  /** True if the server offers this name (its own name, without prefix). An unknown server offers nothing. */
  offers(kind: Kind, target: Target): boolean;
  /** Keeps the names that are offered, in their order. */
  narrow(names: NamesByServer): Record<keyof NamesByServer, Record<string, string[]>>;
}

/** Offers everything. */
export const UNCURATED: ServerCuration = {
  tools: { allow: ["*"], deny: [] },
  prompts: { allow: ["*"], deny: [] },
  resources: { allow: ["*"], deny: [] },
  newTools: "policy",
};

type Matcher = (name: string) => boolean;
const EVERY: Matcher = () => true;

/** Makes the curation of all servers. */
export function createCuration(servers: Readonly<Record<string, ServerCuration>>): Curation {
  const matchers = new Map(Object.entries(servers).map(([name, server]) => [name, matchersOf(server)]));
  const offers = (kind: Kind, { server, name }: Target) => matchers.get(server)?.[kind](name) ?? false;
  const keptOf = (kind: Kind, server: string, names: readonly string[]) => {
    const matcher = matchers.get(server)?.[kind];
    if (matcher === undefined) return [];
    return matcher === EVERY ? [...names] : names.filter(matcher);
  };
  const kept = (kind: Kind, lists: NamesByServer["tools"]) =>
    Object.fromEntries(Object.entries(lists).map(([server, names]) => [server, keptOf(kind, server, names)]));
  return {
    offers,
    narrow: ({ tools, prompts, resources }) => ({
      tools: kept("tool", tools),
      prompts: kept("prompt", prompts),
      resources: kept("resource", resources),
    }),
  };
}

function matchersOf({ tools, prompts, resources, newTools }: ServerCuration): Record<Kind, Matcher> {
  const allow = newTools === "deny" ? tools.allow.filter((pattern) => !isWildcard(pattern)) : tools.allow;
  return { tool: matcherOf({ ...tools, allow }), prompt: matcherOf(prompts), resource: matcherOf(resources) };
}

function matcherOf({ allow, deny }: NameFilter): Matcher {
  if (allow.includes("*") && deny.length === 0) return EVERY;
  const [allowed, denied] = [nameMatcher(allow), nameMatcher(deny)];
  return (name) => allowed(name) && !denied(name);
}
