// Rules on where plain http may go, and on CAs of connections without TLS. Pure.
import { destinations } from "../destinations.ts";
import type { Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";
import { isNeverHost } from "../../http/outgoing.ts";
import { isLoopback } from "../schema/values.ts";

const NEVER = "is a link-local or metadata address: no request goes there";

/** Plain http is for loopback, and for the hosts of `allowHttp`; a CA is for a connection with TLS. */
export function checkUrls(config: Config, { problem }: Reporter): void {
  const check = (key: string, text: string | null) => {
    const url = text === null ? null : URL.parse(text);
    if (url?.protocol !== "http:" || isLoopback(url.hostname) || config.allowHttp.includes(url.hostname)) return;
    problem(key, `plain http is accepted for loopback only; use https, or name ${url.hostname} in allowHttp`);
  };
  config.outgoing.allow.forEach((entry, i) => {
    if (isNeverHost(entry.split("/", 1)[0] ?? "")) problem(`outgoing.allow[${i}]`, NEVER);
  });
  check("publicOrigin", config.publicOrigin);
  config.identity.issuers.forEach((issuer, i) => {
    if (issuer.jwksUri !== null) check(`identity.issuers[${i}].issuer`, issuer.issuer);
    issuer.allowedHosts.forEach((host, at) => {
      if (isNeverHost(host)) problem(`identity.issuers[${i}].allowedHosts[${at}]`, NEVER);
    });
  });
  for (const { urlKey, url, listener, caKey, caFile } of destinations(config)) {
    if (listener === null) check(urlKey, url);
    if (isNeverHost(URL.parse(url ?? "")?.hostname ?? "")) problem(urlKey, NEVER);
    if (caFile === null || url?.startsWith("https:") === true) continue;
    const place = listener === null ? urlKey : `${urlKey}, or tls.${listener}`;
    problem(caKey, `needs an https ${place}: without TLS there is no certificate to verify`);
  }
}
