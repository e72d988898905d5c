// Names that follow from the keys of a configuration. Pure.
import { hasPlaceholder } from "../credential/caller-text.ts";
import type { CredentialConfig, ServerConfig } from "./schema.ts";

/** The prefix of a server's names on `/mcp`. */
export function prefixOf(name: string, prefix: string | null): string {
  return prefix ?? `${name}_`;
}

/** The places of all that a server gets with a credential: names of headers, those of the caller's claims too, and places in the query. */
export function credentialPlaces(server: Pick<ServerConfig, "credential" | "headers">): string[] {
  return [...server.credential.flatMap(placesOf), ...Object.keys(headersOf(server).ofCaller)];
}

/** The configured headers of a server: fixed ones, and templates over what the caller's token says. */
export function headersOf({ headers }: Pick<ServerConfig, "headers">) {
  const entries = Object.entries(headers);
  return {
    fixed: Object.fromEntries(entries.filter(([, value]) => !hasPlaceholder(value))),
    ofCaller: Object.fromEntries(entries.filter(([, value]) => hasPlaceholder(value))),
  };
}

/** The places that one entry of a chain fills. */
export function placesOf(entry: CredentialConfig): string[] {
  return "more" in entry ? [entry.header, ...entry.more.map(({ header }) => header)] : [entry.header];
}

/** The host name that `{host}` stands for. */
export function hostOf(url: string): string {
  return URL.parse(url)?.hostname ?? "";
}
