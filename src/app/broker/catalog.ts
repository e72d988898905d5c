// Builds the catalogue of all servers, and what keeps it new: listings at intervals, and the servers' own words that they changed.
import { createCatalog, type Catalog, type CatalogOptions } from "../../broker/catalog/snapshot.ts";
import { createUpstreamListener, type UpstreamListener } from "../../broker/catalog/upstream-listener.ts";
import type { Upstreams } from "../../broker/upstream/upstream.ts";
import type { Config } from "../../config/schema.ts";
import { discoveryCredential, listersOf, MAX_LISTING_MS, type ListerParts } from "./upstreams.ts";

type Observers = Required<Pick<CatalogOptions, "monotonic" | "onListed" | "onChanged">>;

export interface BuiltCatalog {
  readonly catalog: Catalog;
  /** Takes another configuration. @param changed servers that are listed anew */
  apply(config: Config, parts: ListerParts, changed: ReadonlySet<string>): Promise<void>;
  /** Ends listings and listening. */
  close(): void;
}

/** Listens at each listed server that declares to tell of changes. */
export function buildCatalog(config: Config, upstreams: Upstreams, parts: ListerParts & Observers): BuiltCatalog {
  const { monotonic, onListed, onChanged } = parts;
  const listeners = new Map<string, UpstreamListener>();
  const catalog = createCatalog({
    servers: listersOf(config, upstreams, parts),
    monotonic,
    onListed(server, error, listed) {
      onListed(server, error, listed);
      if (error === null && listed !== null) listeners.get(server)?.declare(listed.tellsOf);
    },
    onChanged,
  });
  const listenAt = (name: string, server: Config["servers"][string]) => {
    const upstream = upstreams.get(name);
    if (upstream === undefined) return;
    const listener = createUpstreamListener({
      upstream: upstream.listening,
      credential: discoveryCredential(server),
      timeoutMs: Math.min(server.timeoutMs, MAX_LISTING_MS),
      onChanged: (kinds) => catalog.heard(name, kinds),
    });
    listeners.set(name, listener);
  };
  for (const [name, server] of Object.entries(config.servers)) listenAt(name, server);
  return {
    catalog,
    apply(next, nextParts, changed) {
      for (const [name, listener] of listeners) {
        if (Object.hasOwn(next.servers, name) && !changed.has(name)) continue;
        listener.close();
        listeners.delete(name);
      }
      for (const [name, server] of Object.entries(next.servers)) if (!listeners.has(name)) listenAt(name, server);
      return catalog.apply(listersOf(next, upstreams, nextParts), changed);
    },
    close() {
      for (const listener of listeners.values()) listener.close();
      catalog.close();
    },
  };
}
