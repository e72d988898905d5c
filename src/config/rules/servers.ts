// Rules of servers: prefixes on `/mcp`, discovery, direct routes. Pure.
import { prefixOf } from "../names.ts";
import type { Reporter } from "../problem.ts";
import type { Config, ServerConfig } from "../schema.ts";

export function checkServers(config: Config, reporter: Reporter): void {
  checkPrefixes(config, reporter);
  for (const [name, server] of Object.entries(config.servers)) {
    checkDiscovery(server, `servers.${name}.discovery`, reporter);
    checkDirect(config, name, reporter);
  }
}

/** On `/mcp` a name belongs to the server whose prefix it begins with, so no prefix may begin another. */
function checkPrefixes(config: Config, { problem }: Reporter): void {
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

/** Rules of servers with `callRouting: direct`. */
function checkDirect(config: Config, name: string, { problem, warn }: Reporter): void {
  const server = config.servers[name];
  if (server === undefined) return;
  if ((server.callRouting ?? config.callRouting) === "broker") {
    if (server.passthrough)
      problem(`servers.${name}.passthrough`, "is for direct calls: say callRouting: direct, or leave it out");
    return;
  }
  // Envoy puts the path of the URL in place of ours, and keeps the client's query.
  if (server.url.includes("?"))
    problem(`servers.${name}.url`, "its query is not sent on a direct route: say callRouting: broker for this server");
  if (config.acceptTextBody)
    warn(
      `servers.${name}.callRouting`,
      "direct with acceptTextBody: bytes that are not UTF-8 reach this server as they came, and policy as other text; broker refuses them",
    );
}

function checkDiscovery(server: ServerConfig, key: string, { problem, warn }: Reporter): void {
  server.discovery.forEach((entry, i) => {
    if (entry.kind !== "static" && entry.kind !== "none") {
      problem(`${key}[${i}]`, `${entry.kind} is for callers, and discovery has none: use static or none`);
    }
  });
  const perUser = server.credential.some(({ kind }) => kind !== "static" && kind !== "none");
  if (perUser && server.discovery.every((entry) => entry.kind === "none")) {
    warn(key, "is not set: the list of this server is what a caller without a credential sees there");
  }
}
