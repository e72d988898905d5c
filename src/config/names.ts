// Names that follow from the keys of a configuration. Pure.
import type { CredentialConfig, ServerConfig } from "./schema.ts";

/** The prefix of a server's names on `/mcp`. */
export function prefixOf(name: string, prefix: string | null): string {
  return prefix ?? `${name}_`;
}

/** The places of all credentials of a server's chain: names of headers, and places in the query. */
export function credentialPlaces({ credential }: ServerConfig): string[] {
  return credential.flatMap(placesOf);
}

/** The places that one entry of a chain fills. */
export function placesOf(entry: CredentialConfig): string[] {
  return "more" in entry ? [entry.header, ...entry.more.map(({ header }) => header)] : [entry.header];
}

/** The host name that `{host}` stands for. */
export function hostOf(url: string): string {
  return URL.parse(url)?.hostname ?? "";
}
