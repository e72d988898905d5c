import { partsOf } from "../../http/url.ts";
import { listUpstream, type Listing } from "../../broker/catalog/listing.ts";
import type { Config, ServerConfig } from "../../config/schema.ts";
import { headerValue } from "../../credential/static.ts";
import { createHttpClient, type HttpClient } from "../../http/client.ts";
import { readCaFile } from "../../files/ca.ts";

/** A server is asked for one list at a time. */
const LISTING_CONNECTIONS = 2;
/** Longest time for all lists of a server, whatever its calls may take (threat row B51). */
const MAX_LISTING_MS = 30_000;

export interface Listers {
  readonly lists: ReadonlyMap<string, () => Promise<Listing>>;
  /** Ends the connections. */
  close(): void;
}

/** How each server is listed: as the gateway itself, never as a caller. @throws {Error} that names the key at fault */
export function createListers(config: Config, publicName: (server: string, name: string) => string): Listers {
  const clients: HttpClient[] = [];
  const lists = Object.entries(config.servers).map(([name, server]) => {
    const { origin, path } = partsOf(server.url);
    const http = createHttpClient({ origin, ca: caOf(name, server), maxConnections: LISTING_CONNECTIONS });
    clients.push(http);
    const options = {
      http,
      path,
      credential: discoveryCredential(server),
      limits: config.limits,
      timeoutMs: Math.min(server.timeoutMs, MAX_LISTING_MS),
      publicName: (tool: string) => publicName(name, tool),
    };
    return [name, () => listUpstream(options)] as const;
  });
  return {
    lists: new Map(lists),
    close() {
      for (const client of clients) client.close();
    },
  };
}

/** The first kind of the chain that has one: `static` always has, `none` is to send none. Others need a user. */
function discoveryCredential({ discovery }: ServerConfig): { header: string; value: string } | null {
  const [entry] = discovery;
  if (entry?.kind !== "static") return null;
  return { header: entry.header, value: headerValue(entry.scheme, entry.value.reveal()).reveal() };
}

function caOf(name: string, { caFile }: ServerConfig): Buffer | null {
  return caFile === null ? null : readCaFile(`servers.${name}.caFile`, caFile);
}
