// The well-known URLs of an issuer's metadata (RFC 8414 §3.1, OpenID Connect Discovery §4), and its `jwks_uri`. Pure.
import { isPrivateHost, type ChosenBy } from "../http/outgoing.ts";
import type { JsonObject } from "../json/types.ts";
import { readJson } from "../json/strict-reader.ts";

/** Lists the URLs at which an issuer may publish its metadata. */
export function metadataUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, "");
  return [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
  ];
}

/** Where an issuer's keys are. */
export interface KeysPlace {
  readonly url: string;
  /** `document` for another host than the issuer's: it must be public, unless the issuer is an address inside itself. */
  readonly chosenBy: ChosenBy;
}

/**
 * Returns the `jwks_uri` of a metadata document, or the reason against it. The document must name this issuer. The URL may
 * be on another host only if that is allowed; the guard of outgoing requests looks at its address (threat model: A10, CF-36).
 */
export function jwksUriOf(document: Uint8Array, issuer: string, allowedHosts: readonly string[]): KeysPlace | string {
  const json = readJson(document);
  const metadata = json.ok && typeof json.value === "object" && json.value !== null ? (json.value as JsonObject) : null;
  if (metadata === null) return "the metadata is not JSON";
  if (metadata["issuer"] !== issuer) return "the metadata names another issuer";
  const text = metadata["jwks_uri"];
  const url = typeof text === "string" ? URL.parse(text) : null;
  if (url === null || url.username !== "" || url.password !== "") return "the metadata has no jwks_uri";
  const home = new URL(issuer);
  return faultOfPlace(url, home, allowedHosts) ?? { url: url.href, chosenBy: chosenBy(url.hostname, home.hostname) };
}

function chosenBy(host: string, home: string): ChosenBy {
  return host === home || isPrivateHost(home) ? "configured" : "document";
}

function faultOfPlace(url: URL, home: URL, allowedHosts: readonly string[]): string | null {
  if (url.protocol !== "https:" && url.protocol !== home.protocol) return "jwks_uri is not https";
  if (url.origin !== home.origin && !allowedHosts.includes(url.hostname))
    return "jwks_uri is on another host; name it in allowedHosts";
  return null;
}
