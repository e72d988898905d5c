// URLs as text: of our own listeners, and the parts of one that is written in the configuration. Pure.
import type { ListenAddress } from "./listen.ts";

/** The origin under which another process of ours finds a listener. @throws {Error} for a socket */
export function urlOf(address: ListenAddress, listener: string, isTls: boolean): string {
  if (address.kind === "unix")
    throw new Error(`listen.${listener} is a socket: name its URL in wristband.jwksUrl or catalog.url`);
  const host = address.host === "0.0.0.0" || address.host === "::" ? "127.0.0.1" : address.host;
  return `${isTls ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${address.port}`;
}

/** Origin and path of a URL as written: nothing is cleaned or decoded. */
export function partsOf(url: string): { origin: string; path: string } {
  const [, origin = "", rest = ""] = /^([a-z]+:\/\/[^/?]+)(.*)$/i.exec(url) ?? [];
  return { origin, path: rest.startsWith("/") ? rest : `/${rest}` };
}
