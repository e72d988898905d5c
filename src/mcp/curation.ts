// Curation: what a server offers through the gateway, for every caller and before policy is asked. Pure; serve and broker
// share it, so that a name that one hides the other does not serve.
import { isWildcard, nameMatcher } from "./name-pattern.ts";
import type { Kind } from "./operation.ts";
import type { Target } from "./resolver.ts";
import { patternKey, uriKeys } from "./uri-key.ts";

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

/** By server, the patterns of its own names and URIs that belong to a virtual server. */
export type Subset = Readonly<Record<string, readonly string[]>>;

export interface CurationSettings {
  readonly servers: Readonly<Record<string, ServerCuration>>;
  readonly virtualServers: Readonly<Record<string, { readonly servers: Subset }>>;
}

export interface Curation {
  /**
   * True if the server offers this name (its own name, without prefix), on the endpoint of the virtual server if there is one.
   * An unknown server offers nothing, and an unknown virtual server has nothing.
   */
  offers(kind: Kind, target: Target, virtualServer: string | null): boolean;
  /** True for a server of the configuration, of which this virtual server (if there is one) shows something. */
  shows(server: string, virtualServer: string | null): boolean;
  /** Keeps the names that are offered there, in their order. */
  narrow(names: NamesByServer, virtualServer: string | null): Record<keyof NamesByServer, Record<string, string[]>>;
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
const NONE: Matcher = () => false;

/** Makes the curation of all servers. A virtual server only narrows what its servers offer. */
export function createCuration({ servers, virtualServers }: CurationSettings): Curation {
  const offered = new Map(Object.entries(servers).map(([name, server]) => [name, matchersOf(server)]));
  const subsets = new Map(Object.entries(virtualServers).map(([name, subset]) => [name, subsetOf(subset.servers)]));
  const matchersFor = (kind: Kind, server: string, virtualServer: string | null): readonly Matcher[] => {
    const all = [offered.get(server)?.[kind], virtualServer === null ? EVERY : subsets.get(virtualServer)?.get(server)];
    const known = all.filter((matcher) => matcher !== undefined);
    return known.length < all.length ? [NONE] : known.filter((matcher) => matcher !== EVERY);
  };
  const narrowed = (kind: Kind, lists: NamesByServer["tools"], virtualServer: string | null) =>
    Object.fromEntries(
      Object.entries(lists).map(([server, names]) => {
        const matchers = matchersFor(kind, server, virtualServer);
        return [server, names.filter((name) => matchers.every((matches) => matches(name)))];
      }),
    );
  return {
    shows: (server, virtualServer) =>
      offered.has(server) && (virtualServer === null || subsets.get(virtualServer)?.has(server) === true),
    offers: (kind, { server, name }, virtualServer) =>
      matchersFor(kind, server, virtualServer).every((matches) => matches(name)),
    narrow: ({ tools, prompts, resources }, virtualServer) => ({
      tools: narrowed("tool", tools, virtualServer),
      prompts: narrowed("prompt", prompts, virtualServer),
      resources: narrowed("resource", resources, virtualServer),
    }),
  };
}

function subsetOf(subset: Subset): Map<string, Matcher> {
  return new Map(Object.entries(subset).map(([server, patterns]) => [server, nameMatcher(patterns)]));
}

function matchersOf({ tools, prompts, resources, newTools }: ServerCuration): Record<Kind, Matcher> {
  const allow = newTools === "deny" ? tools.allow.filter((pattern) => !isWildcard(pattern)) : tools.allow;
  return {
    tool: matcherOf({ ...tools, allow }, deniedName),
    prompt: matcherOf(prompts, deniedName),
    resource: matcherOf(resources, deniedUri),
  };
}

function matcherOf({ allow, deny }: NameFilter, denier: (deny: readonly string[]) => Matcher): Matcher {
  if (allow.includes("*") && deny.length === 0) return EVERY;
  const allowed = nameMatcher(allow);
  if (deny.length === 0) return allowed;
  const denied = denier(deny);
  return (name) => allowed(name) && !denied(name);
}

/** A deny pattern holds without regard to case, since a server may find its tools so; `allow` takes a name as it is written. */
function deniedName(deny: readonly string[]): Matcher {
  const inAnyCase = nameMatcher(deny.map((pattern) => pattern.toLowerCase()));
  return (name) => inAnyCase(name.toLowerCase());
}

/** A deny pattern of resources holds for every spelling of a URI; `allow` takes one as it is written. */
function deniedUri(deny: readonly string[]): Matcher {
  const asWritten = nameMatcher(deny);
  const inAnySpelling = nameMatcher(deny.map(patternKey));
  return (uri) => asWritten(uri) || uriKeys(uri).some(inAnySpelling);
}
