// The servers behind the broker, from the configuration, and how each is listed.
import type { CheckSettings } from "../../authz/check.ts";
import { listUpstream, type Listing, type ListingOptions } from "../../broker/catalog/listing.ts";
import type { UpstreamCredential, Upstreams, UpstreamSettings } from "../../broker/upstream/upstream.ts";
import { headersOf, placesOf } from "../../config/names.ts";
import type { Config, ServerConfig } from "../../config/schema.ts";
import { headerValue } from "../../credential/static.ts";
import { readCaFile } from "../../files/ca.ts";
import type { Kind } from "../../mcp/operation.ts";

/** Longest time for all lists of a server, whatever its calls may take (threat model: B51). */
export const MAX_LISTING_MS = 30_000;

/** @throws {Error} that names the key of a CA file that cannot be read */
export function upstreamSettings({ servers }: Config): ReadonlyMap<string, UpstreamSettings> {
  const settings = Object.entries(servers).map(
    ([name, { url, caFile, timeoutMs, maxResponseBytes, credential, passHeaders, sessions, ...server }]) => {
      const headers = headersOf(server);
      const filled = credential.filter(({ kind }) => kind !== "none");
      const upstream = {
        url,
        ca: caFile === null ? null : readCaFile(`servers.${name}.caFile`, caFile),
        timeoutMs,
        maxResponseBytes,
        credentialHeaders: new Set([...filled.flatMap(placesOf), ...Object.keys(headers.ofCaller)]),
        headers: headers.fixed,
        passHeaders: new Set(passHeaders),
        sessions,
        needsCredential: filled.length === credential.length,
      };
      return [name, upstream] as const;
    },
  );
  return new Map(settings);
}

export type Listers = ReadonlyMap<string, () => Promise<Listing>>;

export interface ListerParts extends Pick<CheckSettings, "resolver" | "curation"> {
  readonly outputSchemas: ListingOptions["outputSchemas"];
}

/** The function that lists each server: as the gateway itself, never as a caller. */
export function listersOf(
  config: Config,
  upstreams: Upstreams,
  { resolver, curation, outputSchemas }: ListerParts,
): Listers {
  const listers = Object.entries(config.servers).flatMap(([name, server]) => {
    const upstream = upstreams.get(name);
    if (upstream === undefined) return [];
    const options = {
      upstream: upstream.lists,
      credential: discoveryCredential(server),
      isDirect: (server.callRouting ?? config.callRouting) === "direct",
      limits: config.limits,
      outputSchemas,
      timeoutMs: Math.min(server.timeoutMs, MAX_LISTING_MS),
      names: resolver.namesOf(name),
      isOffered: (kind: Kind, own: string) => curation.offers(kind, { server: name, name: own }, null),
    };
    return [[name, () => listUpstream(options)] as const];
  });
  return new Map(listers);
}

/** The first kind of the chain that has one: `static` always has, `none` is to send none. Others need a user. */
export function discoveryCredential({ discovery }: ServerConfig): UpstreamCredential | null {
  const [entry] = discovery;
  if (entry?.kind !== "static") return null;
  const partOf = ({ header, scheme, value }: Pick<typeof entry, "header" | "scheme" | "value">) => ({
    header,
    value: headerValue(scheme, value.reveal()),
  });
  return { ...partOf(entry), more: entry.more.map(partOf) };
}
