// Finds the server of a name on the merged endpoint `/mcp`, and makes such names. Pure; the form is merged-names.ts.
import { createAliases, type AliasTable } from "./aliases.ts";
import { isCallable, mergedUri, ownUri } from "./merged-names.ts";
import type { Kind } from "./operation.ts";

/** The name of a configured server: a part of paths, of claims, of merged URIs and of metric labels. */
export const SERVER_NAME = /^[a-z][a-z0-9-]{0,62}$/;

export interface Target {
  readonly server: string;
  /** The server's own name or URI. */
  readonly name: string;
}

/** The names of one server on the merged endpoint. */
export interface ServerNames {
  /** Makes the name on the server's own endpoint; null for a tool whose name is another one's there, by an alias. */
  shownName(kind: Kind, name: string): string | null;
  /** Own names of the tools that have an alias. */
  readonly aliased: readonly string[];
  /** Makes the merged name or URI (also of a template); null if a call could not name it there: it is too long. */
  publicName(kind: Kind, name: string): string | null;
  /** Maps the URI of a resource in a definition or a result, whatever its form. */
  reference(uri: string): string;
}

export interface Resolver {
  /** Finds the server and its own name for a name on the merged endpoint; null if there is none, or if the own one has a fault. */
  resolve(kind: Kind, publicName: string): Target | null;
  /**
   * The same for a name on an endpoint. Null for the own name of a tool that has an alias.
   * @param server the endpoint's server; null where names are merged
   */
  resolveAt(server: string | null, kind: Kind, shownName: string): Target | null;
  namesOf(server: string): ServerNames;
}

/**
 * Makes the resolver. No prefix is the beginning of another (the configuration refuses that), so at most one matches: there
 * is no "longest match" to attack. serve and broker both use it.
 */
export function createResolver(
  prefixes: Readonly<Record<string, string>>,
  aliasTables: Readonly<Record<string, AliasTable>> = {},
): Resolver {
  const entries = Object.entries(prefixes);
  const aliases = new Map(Object.entries(aliasTables).map(([server, table]) => [server, createAliases(table)]));
  const resolveOn = (server: string, kind: Kind, shownName: string): Target | null => {
    const found = kind === "tool" ? aliases.get(server) : undefined;
    const name = found === undefined ? shownName : found.own(shownName);
    return name === null ? null : { server, name };
  };
  const byPrefix = (kind: Kind, publicName: string): Target | null => {
    for (const [server, prefix] of entries) {
      if (publicName.startsWith(prefix) && publicName.length > prefix.length)
        return resolveOn(server, kind, publicName.slice(prefix.length));
    }
    return null;
  };
  const byUri = (publicName: string): Target | null => {
    const own = ownUri(publicName);
    if (own === null || !Object.hasOwn(prefixes, own.server)) return null;
    if (!isCallable("resource", publicName) || !isCallable("resource", own.uri)) return null;
    return { server: own.server, name: own.uri };
  };
  const resolve = (kind: Kind, publicName: string) =>
    kind === "resource" ? byUri(publicName) : byPrefix(kind, publicName);
  return {
    resolve,
    resolveAt: (server, kind, name) => (server === null ? resolve(kind, name) : resolveOn(server, kind, name)),
    namesOf(server) {
      const prefix = Object.hasOwn(prefixes, server) ? prefixes[server] : undefined;
      const shownName = (kind: Kind, name: string) => {
        const found = kind === "tool" ? aliases.get(server) : undefined;
        return found === undefined ? name : found.shown(name);
      };
      const reference = (uri: string) => mergedUri(server, uri);
      return {
        shownName,
        aliased: Object.hasOwn(aliasTables, server) ? Object.keys(aliasTables[server] ?? {}) : [],
        publicName(kind, name) {
          const shown = shownName(kind, name);
          if (prefix === undefined || shown === null) return null;
          const made = kind === "resource" ? reference(name) : `${prefix}${shown}`;
          return isCallable(kind, made) ? made : null;
        },
        reference,
      };
    },
  };
}
