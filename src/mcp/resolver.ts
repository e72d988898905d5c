// Maps public names of the merged endpoint `/mcp` to servers and back, by prefix. Pure.

/** The name of a configured server: a part of paths, of claims and of metric labels. */
export const SERVER_NAME = /^[a-z][a-z0-9-]{0,62}$/;

export interface Target {
  readonly server: string;
  /** The name without its prefix. */
  readonly name: string;
}

export interface Resolver {
  /** Finds the server and its own name for a name on the merged endpoint, or null. */
  resolve(publicName: string): Target | null;
  /** Makes the name of a server's tool on the merged endpoint. */
  publicName(server: string, name: string): string;
}

/**
 * Makes the resolver. No prefix is the beginning of another (the configuration refuses that), so at most one matches: there
 * is no "longest match" to attack. serve and broker both use it.
 */
export function createResolver(prefixes: Readonly<Record<string, string>>): Resolver {
  const entries = Object.entries(prefixes);
  return {
    resolve(publicName) {
      for (const [server, prefix] of entries) {
        if (publicName.startsWith(prefix) && publicName.length > prefix.length) {
          return { server, name: publicName.slice(prefix.length) };
        }
      }
      return null;
    },
    publicName: (server, name) => `${prefixes[server] ?? ""}${name}`,
  };
}
