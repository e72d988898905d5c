/** The name of a configured server: a part of paths, of claims and of metric labels. */
export const SERVER_NAME = /^[a-z][a-z0-9-]{0,62}$/;

export interface Target {
  readonly server: string;
  /** The name without its prefix. */
  readonly name: string;
}

export interface Resolver {
  /** Whose name this is on the merged endpoint, or null. */
  resolve(publicName: string): Target | null;
  /** The name of a server's tool on the merged endpoint. */
  publicName(server: string, name: string): string;
}

/**
 * Finds the server of a name on the merged endpoint by its prefix. No prefix is the beginning of another (the config
 * refuses that), so at most one fits: there is no "longest match" to be tricked. Used by serve and broker alike.
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
