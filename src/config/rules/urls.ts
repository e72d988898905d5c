// Rules on where plain http may go. Pure.
import type { Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";
import { isLoopback } from "../schema/values.ts";

/** Plain http is for loopback, and for the hosts of `allowHttp`. */
export function checkUrls(config: Config, { problem }: Reporter): void {
  const check = (key: string, text: string | null) => {
    const url = text === null ? null : URL.parse(text);
    if (url?.protocol !== "http:" || isLoopback(url.hostname) || config.allowHttp.includes(url.hostname)) return;
    problem(key, `plain http is accepted for loopback only; use https, or name ${url.hostname} in allowHttp`);
  };
  check("publicOrigin", config.publicOrigin);
  config.identity.issuers.forEach((issuer, i) => {
    check(`identity.issuers[${i}].issuer`, issuer.issuer);
    check(`identity.issuers[${i}].jwksUri`, issuer.jwksUri);
  });
  check("wristband.jwksUrl", config.wristband.jwksUrl);
  check("catalog.url", config.catalog.url);
  check("vault.address", config.vault?.address ?? null);
  for (const [name, server] of Object.entries(config.servers)) {
    check(`servers.${name}.url`, server.url);
    server.credential.forEach((entry, i) => {
      if (entry.kind === "exchange")
        check(`servers.${name}.credential[${i}].exchange.tokenEndpoint`, entry.tokenEndpoint);
    });
  }
  if (config.catalog.caFile !== null && config.catalog.url?.startsWith("https:") !== true)
    problem("catalog.caFile", "needs an https catalog.url: without it the catalogue is read by plain http");
}
