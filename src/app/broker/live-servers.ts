// Everything of the broker that follows the configuration's servers. SIGHUP puts other ones in place; calls under way end with
// the connections that they began with.
import { createTaskIds } from "../../authz/task-ids.ts";
import type { McpEndpoint } from "../../authz/endpoint.ts";
import type { Catalog, CatalogOptions } from "../../broker/catalog/snapshot.ts";
import type { ListingOptions } from "../../broker/catalog/listing.ts";
import type { AdmitCallOptions } from "../../broker/relay/admit.ts";
import type { BrokerOptions } from "../../broker/server.ts";
import { createUpstreams } from "../../broker/upstream/upstream.ts";
import { changedKeys, configText } from "../../config/live.ts";
import type { Config } from "../../config/load.ts";
import { answerSettings, checkSettings, liveAnswers } from "../../config/settings.ts";
import { buildCatalog } from "./catalog.ts";
import { createLiveSealer, type LiveSealer } from "../seal-keys.ts";
import { upstreamSettings } from "./upstreams.ts";

export interface LiveServers {
  readonly catalog: Catalog;
  readonly endpoints: BrokerOptions["endpoints"];
  readonly calls: AdmitCallOptions;
  readonly view: BrokerOptions["view"];
  readonly snapshot: BrokerOptions["snapshot"];
  /** Those of the configuration in force. */
  readonly answers: BrokerOptions["answers"];
  /** With `sessions.keys`; null without. */
  readonly sealer: LiveSealer | null;
  /** The names of the servers that readiness needs. */
  required(): string[];
  /**
   * Puts another configuration in force; what it does not change stays. Resolves when new servers were listed.
   * @throws {Error} that names the key at fault; what was in force stays
   */
  apply(next: Config): Promise<void>;
  close(): void;
}

export interface LiveServersDeps extends Required<Pick<CatalogOptions, "monotonic" | "onListed" | "onChanged">> {
  readonly outputSchemas: ListingOptions["outputSchemas"];
  /** Receives another configuration, and the names of the servers whose connections are new. */
  readonly onApplied: (config: Config, changed: ReadonlySet<string>) => void;
}

export function createLiveServers(first: Config, deps: LiveServersDeps): LiveServers {
  const sealer = createLiveSealer(first);
  const upstreams = createUpstreams(upstreamSettings(first));
  let live = partOf(first);
  const { outputSchemas } = deps;
  const built = buildCatalog(first, upstreams, { ...deps, ...live });
  const { catalog } = built;
  return {
    catalog,
    sealer,
    answers: liveAnswers(() => live.answers),
    endpoints: { get: (path) => live.endpoints.get(path) },
    calls: {
      upstreams,
      tasks: sealer === null ? null : createTaskIds(sealer),
      get resolver() {
        return live.resolver;
      },
      get curation() {
        return live.curation;
      },
    },
    view: (endpoint, wristband) => live.view(catalog, endpoint, wristband),
    snapshot: () => catalog.current(),
    required: () => Object.keys(live.config.servers).filter((name) => live.config.servers[name]?.required === true),
    async apply(next) {
      if (changedKeys(live.config, next).length === 0) return;
      const settings = upstreamSettings(next);
      const relisted = new Set(Object.keys(next.servers).filter((name) => isListedAnew(name, live.config, next)));
      const changed = upstreams.apply(settings);
      live = partOf(next);
      deps.onApplied(next, changed);
      await built.apply(next, { ...live, outputSchemas }, new Set([...relisted, ...changed]));
    },
    close() {
      built.close();
      upstreams.close();
    },
  };
}

function isListedAnew(name: string, before: Config, after: Config): boolean {
  return configText(before.servers[name]) !== configText(after.servers[name]);
}

function partOf(config: Config) {
  const { endpoints, resolver, curation } = checkSettings(config);
  const pageEntries = config.lists.pageSize === "auto" ? Infinity : config.lists.pageSize;
  const view = (
    catalog: Catalog,
    { server, virtualServer, search, sessions }: McpEndpoint,
    wristband: Parameters<BrokerOptions["view"]>[1],
  ) => ({
    snapshot: catalog.current(),
    offers: server === null ? null : catalog.offers(server),
    server,
    virtualServer,
    search,
    sessions,
    pageEntries,
    tasks: config.sessions !== null,
    wristband: { ...wristband, ...curation.narrow(wristband, virtualServer) },
    now: Date.now(),
  });
  return { config, answers: answerSettings(config), endpoints: endpoints.paths, resolver, curation, view };
}
