// The well-known URLs of an issuer's metadata (RFC 8414 §3.1, OpenID Connect Discovery §4), and its `jwks_uri`. Pure.
import { isIP } from "node:net";
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

/**
 * Returns the `jwks_uri` of a metadata document, or the reason against it. The document must name this issuer. The URL may
 * be on another host only if that is allowed, and never leads from a public to a private address (threat model: A10, CF-36).
 */
export function jwksUriOf(
  document: Uint8Array,
  issuer: string,
  allowedHosts: readonly string[],
): { url: string } | string {
  const json = readJson(document);
  const metadata = json.ok && typeof json.value === "object" && json.value !== null ? (json.value as JsonObject) : null;
  if (metadata === null) return "the metadata is not JSON";
  if (metadata["issuer"] !== issuer) return "the metadata names another issuer";
  const text = metadata["jwks_uri"];
  const url = typeof text === "string" ? URL.parse(text) : null;
  if (url === null || url.username !== "" || url.password !== "") return "the metadata has no jwks_uri";
  return faultOfPlace(url, new URL(issuer), allowedHosts) ?? { url: url.href };
}

function faultOfPlace(url: URL, home: URL, allowedHosts: readonly string[]): string | null {
  if (url.protocol !== "https:" && url.protocol !== home.protocol) return "jwks_uri is not https";
  if (url.origin !== home.origin && !allowedHosts.includes(url.hostname))
    return "jwks_uri is on another host; name it in allowedHosts";
  return isPrivate(url.hostname) && !isPrivate(home.hostname) ? "jwks_uri is a private address" : null;
}

/** True for addresses that a public document may not name: loopback, private, link-local (cloud metadata), mapped forms. */
export function isPrivate(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "");
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  if (isIP(host) === 4)
    return /^(?:0|10|127|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./.test(
      host,
    );
  // ::1, unspecified, mapped and translated IPv4, 6to4, unique local, link-local
  return isIP(host) === 6 && /^(?:::|64:ff9b:|2002:|f[cd]|fe[89ab])/i.test(host);
}
