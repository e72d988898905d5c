// Where a server's credential goes, as a short text that serve, broker and Envoy each make of their own reading of the
// configuration: what was fetched for one URL never goes to another of the same server's name. Pure.
import { hash } from "node:crypto";

/** Digits of a digest: nobody but the operator chooses the URLs that must not have the same. */
const CHARS = 16;
/** Matches {@link destinationOf}. */
export const DESTINATION = /^[0-9a-f]{16}$/;

/** @returns 16 hexadecimal digits of the SHA-256 of the URL as it is written: another spelling is another destination */
export function destinationOf(url: string): string {
  return hash("sha256", url, "hex").slice(0, CHARS);
}

/** What all direct routes begin with. */
export const DIRECT_ROUTE = "server:";

/** The route of a direct call, for Envoy and for `routeHeader`: `server:<name>:<destination>`. */
export function directRoute(server: string, destination: string): string {
  return `${DIRECT_ROUTE}${server}:${destination}`;
}
