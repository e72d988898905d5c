// The resources whose changes a client wants to hear of. Each was allowed by policy when she asked for it. Pure.

export interface Subscriptions {
  add(server: string, uri: string): void;
  delete(server: string, uri: string): void;
  has(server: string, uri: string): boolean;
}

/** Of one session; beyond, the oldest goes. */
const MAX = 1000;

export function createSubscriptions(): Subscriptions {
  const keys = new Set<string>();
  const keyOf = (server: string, uri: string) => `${server} ${uri}`; // no server's name has a space
  return {
    add(server, uri) {
      const [oldest] = keys;
      if (keys.size >= MAX && oldest !== undefined) keys.delete(oldest);
      keys.add(keyOf(server, uri));
    },
    delete: (server, uri) => void keys.delete(keyOf(server, uri)),
    has: (server, uri) => keys.has(keyOf(server, uri)),
  };
}
