// Names of the merged endpoint `/mcp`, made of a server's own ones and undone again. serve and broker both use it. Pure.
import { isOrdinaryName } from "./method-table.ts";
import type { Kind } from "./operation.ts";
import { faultOfTemplate, faultOfUri } from "./uri.ts";

/** Code units of a URI, on every endpoint. */
export const MAX_URI = 2048;
/** The scheme of MCP Apps (SEP-1865). Hosts look for it, so that it stays in front. RFC 3986 §3.1: of any case. */
const UI = /^ui:\/\//i;

/** A resource of one server. */
export interface OwnUri {
  readonly server: string;
  readonly uri: string;
}

/**
 * Makes the merged URI of a server's resource or template: `U` of server `S` is `S+U`, and `ui://rest` is `ui://S/rest`. For
 * any text, also for what is no URI: what a server writes into a result must not name a resource of another server's. The text
 * stays in place behind the server's name, so that a template stays one (RFC 6570).
 */
export function mergedUri(server: string, uri: string): string {
  return UI.test(uri) ? `ui://${server}/${uri.slice("ui://".length)}` : `${server}+${uri}`;
}

/**
 * Takes a merged URI apart, or null for a text that is none. No server's name has a `+` or `/`, so that there is one way to
 * read it; `S+ui://…` is refused, so that a resource has one name. The parts are not checked.
 */
export function ownUri(uri: string): OwnUri | null {
  if (uri.startsWith("ui://")) {
    const slash = uri.indexOf("/", "ui://".length);
    if (slash < 0) return null;
    return { server: uri.slice("ui://".length, slash), uri: `ui://${uri.slice(slash + 1)}` };
  }
  const plus = uri.indexOf("+");
  const own = uri.slice(plus + 1);
  return plus < 0 || UI.test(own) ? null : { server: uri.slice(0, plus), uri: own };
}

/** True if a call may name this: an ordinary name, or a URI or template in normal form. */
export function isCallable(kind: Kind, name: string): boolean {
  if (kind !== "resource") return isOrdinaryName(name);
  return name.length <= MAX_URI && (name.includes("{") ? faultOfTemplate(name) : faultOfUri(name)) === null;
}
