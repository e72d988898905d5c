// Builds the catalogue of all servers, and what keeps it new: listings at intervals, and the servers' own words that they changed.
import { createCatalog, type Catalog, type CatalogOptions } from "../../broker/catalog/snapshot.ts";
import { createUpstreamListener, type UpstreamListener } from "../../broker/catalog/upstream-listener.ts";
import type { Upstreams } from "../../broker/upstream/upstream.ts";
import type { Config } from "../../config/schema.ts";
import { discoveryCredential, listersOf, MAX_LISTING_MS, type ListerParts } from "./upstreams.ts";

type Observers = Pick<CatalogOptions, "monotonic" | "onListed">;

/** Listens at each listed server that declares to tell of changes. `close` ends listings and listening. */
export function buildCatalog(config: Config, upstreams: Upstreams, parts: ListerParts & Observers): Catalog {
  const { monotonic, onListed } = parts;
  const listeners = new Map<string, UpstreamListener>();
  const catalog = createCatalog({
    servers: listersOf(config, upstreams, parts),
    monotonic,
    onListed(server, error, listed) {
      onListed(server, error, listed);
      if (error === null && listed !== null) listeners.get(server)?.declare(listed.tellsOf);
    },
  });
  for (const [name, server] of Object.entries(config.servers)) {
    const upstream = upstreams.get(name);
    if (upstream === undefined) continue;
    const listener = createUpstreamListener({
      upstream: upstream.listening,
      credential: discoveryCredential(server),
      timeoutMs: Math.min(server.timeoutMs, MAX_LISTING_MS),
      onChanged: (kinds) => catalog.heard(name, kinds),
    });
    listeners.set(name, listener);
  }
  return {
    ...catalog,
    close() {
      for (const listener of listeners.values()) listener.close();
      catalog.close();
    },
  };
}
