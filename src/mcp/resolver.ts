// Finds the server of a name on the merged endpoint `/mcp`, and makes such names. Pure; the form is merged-names.ts.
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
  /** Makes the merged name or URI (also of a template); null if a call could not name it there: it is too long. */
  publicName(kind: Kind, name: string): string | null;
  /** Maps the URI of a resource in a definition or a result, whatever its form. */
  reference(uri: string): string;
}

export interface Resolver {
  /** Finds the server and its own name for a name on the merged endpoint; null if there is none, or if the own one has a fault. */
  resolve(kind: Kind, publicName: string): Target | null;
  namesOf(server: string): ServerNames;
}

/**
 * Makes the resolver. No prefix is the beginning of another (the configuration refuses that), so at most one matches: there
 * is no "longest match" to attack. serve and broker both use it.
 */
export function createResolver(prefixes: Readonly<Record<string, string>>): Resolver {
  const entries = Object.entries(prefixes);
  const byPrefix = (publicName: string): Target | null => {
    for (const [server, prefix] of entries) {
      if (publicName.startsWith(prefix) && publicName.length > prefix.length)
        return { server, name: publicName.slice(prefix.length) };
    }
    return null;
  };
  const byUri = (publicName: string): Target | null => {
    const own = ownUri(publicName);
    if (own === null || !Object.hasOwn(prefixes, own.server)) return null;
    if (!isCallable("resource", publicName) || !isCallable("resource", own.uri)) return null;
    return { server: own.server, name: own.uri };
  };
  return {
    resolve: (kind, publicName) => (kind === "resource" ? byUri(publicName) : byPrefix(publicName)),
    namesOf(server) {
      const prefix = Object.hasOwn(prefixes, server) ? prefixes[server] : undefined;
      const reference = (uri: string) => mergedUri(server, uri);
      return {
        publicName(kind, name) {
          if (prefix === undefined) return null;
          const made = kind === "resource" ? reference(name) : `${prefix}${name}`;
          return isCallable(kind, made) ? made : null;
        },
        reference,
      };
    },
  };
}
