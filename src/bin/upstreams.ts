import { readFileSync } from "node:fs";
import { listUpstream, type Listing } from "../broker/listing.ts";
import type { Config, ServerConfig } from "../config-schema.ts";
import { headerValue } from "../credential/static.ts";
import { createHttpClient } from "../http/client.ts";

/** A server is asked for one list at a time. */
const LISTING_CONNECTIONS = 2;
/** Longest time for all lists of a server, whatever its calls may take (threat row B51). */
const MAX_LISTING_MS = 30_000;

/** How each server is listed: as the gateway itself, never as a caller. @throws {Error} that names the key at fault */
export function listers(
  config: Config,
  publicName: (server: string, name: string) => string,
): Map<string, () => Promise<Listing>> {
  return new Map(
    Object.entries(config.servers).map(([name, server]) => {
      const { origin, path } = partsOf(server.url);
      const http = createHttpClient({ origin, ca: caOf(name, server), maxConnections: LISTING_CONNECTIONS });
      const options = {
        http,
        path,
        credential: discoveryCredential(server),
        timeoutMs: Math.min(server.timeoutMs, MAX_LISTING_MS),
        publicName: (tool: string) => publicName(name, tool),
      };
      return [name, () => listUpstream(options)];
    }),
  );
}

/** The first kind of the chain that has one: `static` always has, `none` is to send none. Others need a user. */
function discoveryCredential({ discovery }: ServerConfig): { header: string; value: string } | null {
  const [entry] = discovery;
  if (entry?.kind !== "static") return null;
  return { header: entry.header, value: headerValue(entry.scheme, entry.value.reveal()).reveal() };
}

function caOf(name: string, { caFile }: ServerConfig): Buffer | null {
  if (caFile === null) return null;
  try {
    return readFileSync(caFile);
  } catch {
    throw new Error(`servers.${name}.caFile: ${caFile} cannot be read`);
  }
}

/** The path as it is written: nothing is cleaned or decoded. */
export function partsOf(url: string): { origin: string; path: string } {
  const [, origin = "", rest = ""] = /^([a-z]+:\/\/[^/?]+)(.*)$/i.exec(url) ?? [];
  return { origin, path: rest.startsWith("/") ? rest : `/${rest}` };
}
