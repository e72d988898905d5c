import { isIP } from "node:net";
import { checkExchange } from "./exchange.ts";
import { checkCredentialHeader, checkHeaders } from "./headers.ts";
import { prefixOf } from "./names.ts";
import type { Problem, Say, Says } from "./problem.ts";
import { checkVault } from "./rules-vault.ts";
import type { Config } from "./schema.ts";
import { isLoopback } from "./schema/values.ts";

/** Rules between keys, which the shape alone cannot say. */
export function checkRules(config: Config): { problems: Problem[]; warnings: Problem[] } {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const problem: Say = (key, message) => problems.push({ key, message });
  const warn: Say = (key, message) => warnings.push({ key, message });
  checkUrls(config, problem);
  if (config.catalog.caFile !== null && config.catalog.url?.startsWith("https:") !== true)
    problem("catalog.caFile", "needs an https catalog.url: without it the catalogue is read by plain http");
  checkListeners(config, problem);
  checkEnvoyListeners(config.envoy, problem);
  checkPrefixes(config, problem);
  checkIssuers(config, problem, warn);
  checkHeaders(config, problem);
  checkVault(config, problem, warn);
  for (const [name, server] of Object.entries(config.servers)) {
    server.credential.forEach((entry, i) => {
      const key = `servers.${name}.credential[${i}].${entry.kind}`;
      checkCredentialHeader(config, { key, entry }, problem);
      if (entry.kind !== "exchange") return;
      const issuers = config.identity.issuers.map(({ issuer }) => issuer);
      checkExchange({ key, checkTimeoutMs: config.checkTimeoutMs, issuers, entry }, problem, warn);
    });
    server.discovery.forEach((entry, i) => {
      checkCredentialHeader(config, { key: `servers.${name}.discovery[${i}].${entry.kind}`, entry }, problem);
    });
    checkDiscovery(server, `servers.${name}.discovery`, { problem, warn });
    checkDirect(config, name, { problem, warn });
  }
  return { problems, warnings };
}

function checkUrls(config: Config, problem: Say): void {
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
}

function checkListeners(config: Config, problem: Say): void {
  for (const name of ["authz", "ops", "broker", "brokerOps"] as const) {
    const listen = config.listen[name];
    if (listen.kind === "unix" || isLoopback(listen.host) || config.tls[name] || config.listen.plaintext) continue;
    problem(
      `listen.${name}`,
      `${listen.host} is not loopback: give tls.${name}, or say listen.plaintext: true where a mesh's sidecar encrypts`,
    );
  }
  for (const name of ["authz", "ops", "broker", "brokerOps"] as const) {
    const tls = config.tls[name];
    if (tls && tls.clientSans.length > 0 && tls.clientCaFile === null) {
      problem(
        `tls.${name}.clientSans`,
        `needs tls.${name}.clientCaFile: names in a certificate mean nothing without its CA`,
      );
    }
  }
}

/** Envoy resolves no name to listen on, and takes each address once. */
function checkEnvoyListeners({ listen, opsListen }: Config["envoy"], problem: Say): void {
  for (const [key, address] of Object.entries({ listen, opsListen })) {
    if (address.kind === "tcp" && isIP(address.host) === 0)
      problem(`envoy.${key}`, `${address.host} is a name: Envoy listens on an IP address, as 127.0.0.1 or 0.0.0.0`);
  }
  if (JSON.stringify(listen) === JSON.stringify(opsListen))
    problem("envoy.opsListen", "is the same as envoy.listen: operators need an address of their own");
}

/** On `/mcp` a name belongs to the server whose prefix it begins with, so no prefix may begin another. */
function checkPrefixes(config: Config, problem: Say): void {
  const prefixes = Object.entries(config.servers).map(([name, server]) => ({
    name,
    prefix: prefixOf(name, server.prefix),
  }));
  for (const a of prefixes) {
    for (const b of prefixes) {
      if (a === b || !b.prefix.startsWith(a.prefix) || (a.prefix === b.prefix && a.name > b.name)) continue;
      problem(
        `servers.${b.name}.prefix`,
        `"${b.prefix}" begins with "${a.prefix}", the prefix of ${a.name}: choose another`,
      );
    }
  }
}

function checkIssuers(config: Config, problem: Say, warn: Say): void {
  const seen = new Set<string>();
  config.identity.issuers.forEach((issuer, i) => {
    if (seen.has(issuer.issuer)) problem(`identity.issuers[${i}].issuer`, "is listed twice");
    seen.add(issuer.issuer);
    if (issuer.tokenType === "jwt") {
      warn(
        `identity.issuers[${i}].tokenType`,
        "jwt: access tokens are told from ID tokens by their claims only; at+jwt is safer where the issuer can send it",
      );
    }
  });
  if (config.challenge.scopes.includes("offline_access")) {
    problem("challenge.scopes", "offline_access does not belong in a challenge");
  }
}

/** What holds for servers to which Envoy sends calls straight. */
function checkDirect(config: Config, name: string, { problem, warn }: Says): void {
  const server = config.servers[name];
  if (server === undefined || (server.callRouting ?? config.callRouting) === "broker") return;
  // Envoy puts the path of the URL in place of ours, and keeps the client's query.
  if (server.url.includes("?"))
    problem(`servers.${name}.url`, "its query is not sent on a direct route: say callRouting: broker for this server");
  if (config.acceptTextBody)
    warn(
      `servers.${name}.callRouting`,
      "direct with acceptTextBody: bytes that are not UTF-8 reach this server as they came, and policy as other text; broker refuses them",
    );
}

function checkDiscovery(server: Config["servers"][string], key: string, { problem, warn }: Says): void {
  server.discovery.forEach((entry, i) => {
    if (entry.kind === "vault" || entry.kind === "exchange") {
      problem(`${key}[${i}]`, `${entry.kind} needs a user; discovery has none: use static or none`);
    }
  });
  const perUser = server.credential.some((entry) => entry.kind === "vault" || entry.kind === "exchange");
  if (perUser && server.discovery.every((entry) => entry.kind === "none")) {
    warn(key, "is not set: the list of this server is what a caller without a credential sees there");
  }
}
