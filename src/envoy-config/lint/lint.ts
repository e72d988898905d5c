// Names what an Envoy lets past mcp-authz. Pure: a dump in, findings out.
import type { Config } from "../../config/schema.ts";
import { dumpOf } from "./dump.ts";
import { expectedOf } from "./expected.ts";
import { bySeverity, type Finding } from "./finding.ts";
import { connectionFindings } from "./rules/connection.ts";
import { extAuthzFindings } from "./rules/ext-authz.ts";
import { filterFindings } from "./rules/filters.ts";
import { headerFindings } from "./rules/headers.ts";
import { logFindings } from "./rules/logs.ts";
import { mirrorFindings, reachFindings } from "./rules/reach.ts";
import { upstreamFindings } from "./rules/upstream.ts";
import { leadsTo, worldOf, type World } from "./world.ts";

export interface LintReport {
  readonly findings: readonly Finding[];
  /** Names of the MCP clusters that were recognised. */
  readonly clusters: readonly string[];
  /** Number of routes to them. */
  readonly routes: number;
}

const FAMILIES: readonly ((world: World) => Finding[])[] = [
  ...[reachFindings, mirrorFindings, extAuthzFindings, filterFindings],
  ...[headerFindings, connectionFindings, upstreamFindings, logFindings],
];

/**
 * @param root a dump or a configuration of Envoy, as a JSON or YAML reader gave it
 * @param config of mcp-authz: names the servers. Without it, what the Check guards anywhere is MCP, and what looks like it
 * @throws {UnreadableDump}
 */
export function lintEnvoy(root: unknown, config: Config | null): LintReport {
  const world = worldOf(dumpOf(root), expectedOf(config));
  const routes = world.routes.filter((route) => leadsTo(route, world.mcp));
  const findings = [...nothingFound(world, routes.length), ...FAMILIES.flatMap((family) => family(world))];
  return { findings: unique(findings).sort(bySeverity), clusters: [...world.mcp].sort(), routes: routes.length };
}

/** A clean report about nothing would be a false one. */
function nothingFound({ expected, proxies, mcp }: World, routes: number): Finding[] {
  if (routes > 0 || proxies.some(({ clusters }) => clusters.some((name) => mcp.has(name)))) return [];
  return [
    {
      rule: "no-mcp-route",
      severity: "medium",
      place: {},
      message: expected.hasConfig
        ? "No route leads to the broker or to a server of this configuration: nothing was judged."
        : "No route to an MCP server was recognised: nothing was judged.",
      fix: expected.hasConfig
        ? "Give the dump of the Envoy that stands before these servers, taken with /config_dump?include_eds."
        : "Name the servers with --config mcp-authz.yaml.",
    },
  ];
}

function unique(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((finding) => [JSON.stringify(finding), finding])).values()];
}
