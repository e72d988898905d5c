// Rules of what servers offer: aliases, `newTools`, virtual servers. Pure.
import { isOrdinaryName } from "../../mcp/method-table.ts";
import { isWildcard } from "../../mcp/name-pattern.ts";
import { CALL_TOOL, SEARCH_TOOLS } from "../../mcp/search-mode.ts";
import { prefixOf } from "../names.ts";
import type { Reporter } from "../problem.ts";
import type { Config, ServerConfig } from "../schema.ts";

export function checkCuration(config: Config, reporter: Reporter): void {
  checkVirtualServers(config, reporter);
  checkSearch(config, reporter);
  for (const [name, server] of Object.entries(config.servers)) {
    checkNewTools(server, name, reporter);
    const route = server.callRouting ?? config.callRouting;
    if (route === "direct" && Object.keys(server.aliases).length > 0)
      reporter.problem(
        `servers.${name}.aliases`,
        "Envoy cannot rename a tool in a body: say callRouting: broker for this server",
      );
    checkAliases(server, name, reporter);
  }
}

/** In search mode two names on `/mcp` are the gateway's own. */
function checkSearch({ search, servers }: Config, { problem }: Reporter): void {
  if (!search) return;
  for (const [name, server] of Object.entries(servers))
    for (const own of [SEARCH_TOOLS, CALL_TOOL])
      if (own.startsWith(prefixOf(name, server.prefix)))
        problem(`servers.${name}.prefix`, `"${own}" of search mode begins with it: choose another`);
}

/** A virtual server has an endpoint like a server's, so its name is none of theirs. */
function checkVirtualServers({ servers, virtualServers }: Config, { problem }: Reporter): void {
  for (const [name, subset] of Object.entries(virtualServers)) {
    if (Object.hasOwn(servers, name))
      problem(`virtualServers.${name}`, "is the name of a server, whose endpoint it would have: choose another");
    for (const server of Object.keys(subset.servers))
      if (!Object.hasOwn(servers, server))
        problem(`virtualServers.${name}.servers.${server}`, "is not a server of this file");
  }
}

/** Each shown name is that of one tool, and can be called on `/mcp`. */
function checkAliases({ aliases, prefix, tools }: ServerConfig, name: string, { problem }: Reporter): void {
  const shown = Object.values(aliases);
  for (const [own, alias] of Object.entries(aliases)) {
    const key = `servers.${name}.aliases.${own}`;
    if (alias === own) problem(key, "is the tool's own name: leave it out");
    if (shown.filter((other) => other === alias).length > 1) problem(key, `"${alias}" is the name of two tools`);
    if (!Object.hasOwn(aliases, alias) && tools.allow.includes(alias))
      problem(key, `"${alias}" is another tool's own name in tools.allow: choose another`);
    if (!isOrdinaryName(prefixOf(name, prefix) + alias)) problem(key, "is longer than 128 with the prefix");
  }
}

/** With `newTools: deny`, exact names alone offer a tool. */
function checkNewTools({ newTools, tools }: ServerConfig, name: string, { warn }: Reporter): void {
  if (newTools !== "deny") return;
  if (tools.allow.every(isWildcard))
    warn(`servers.${name}.tools.allow`, "offers no tool: with newTools: deny, each tool is named exactly here");
  else if (tools.allow.some(isWildcard))
    warn(`servers.${name}.tools.allow`, "with newTools: deny, a pattern with * has no effect: name each tool exactly");
}
