// Ways to an MCP cluster that go round the Check. Pure.
import type { Finding } from "../finding.ts";
import { at, hasAt, listAt, percentAt, textAt, type Fields } from "../fields.ts";
import { runsOn, settingOf, type Destination, type Route } from "../routes.ts";
import { EXT_AUTHZ_TYPE, guardsInUse, leadsTo, type Guard, type World } from "../world.ts";

export function reachFindings(world: World): Finding[] {
  return [
    ...world.routes.flatMap((route) => ofRoute(world, route)),
    ...ofProxies(world),
    ...ofMissing(world),
    ...guardsInUse(world).flatMap((guard) => ofGuard(world, guard)),
    ...ofUnknownFilters(world),
  ];
}

function ofRoute(world: World, route: Route): Finding[] {
  const findings = route.destinations.flatMap((destination) => {
    const { cluster, by } = destination;
    if (cluster === null) return by === "header" ? [chosenByHeader(world, route)] : pluginFinding(world, route);
    if (world.authz.has(cluster)) return [exposed(route, cluster)];
    return world.mcp.has(cluster) ? uncheckedFindings(world, route, { ...destination, cluster }) : [];
  });
  const isAnswered = route.destinations.length === 0;
  const all = isAnswered ? offOnAnswer(world, route) : findings;
  // One for all shards of a server.
  return all.filter(
    (one, i) => all.findIndex(({ rule, message }) => rule === one.rule && message === one.message) === i,
  );
}

function uncheckedFindings(world: World, route: Route, destination: Destination & { cluster: string }): Finding[] {
  const guards = world.guards.filter(({ manager }) => manager === route.manager);
  const target = serverName(destination.cluster);
  if (guards.length === 0) return [noFilter(world, route, target)];
  if (guards.some(({ filter }) => runsOn(filter, route, destination.entry))) return [];
  const filter = guards[0]?.filter.name ?? "";
  const says = guards.some((guard) => settingOf(route, guard.filter.name, destination.entry) !== null);
  return [
    says
      ? {
          rule: "route-disabled",
          severity: "high",
          place: route.place,
          message: `Requests of this route reach ${target} unchecked: ext_authz is turned off for it (on the route, its weighted cluster, its virtual host or its route configuration).`,
          fix: `Remove \`disabled: true\` from typed_per_filter_config["${filter}"].`,
        }
      : {
          rule: "filter-disabled",
          severity: "high",
          place: route.place,
          message: `Requests of this route reach ${target} unchecked: the filter ${filter} is \`disabled: true\` in the chain, and nothing turns it on for this route.`,
          fix: "Remove `disabled: true` from the filter, so that a forgotten route is a checked one.",
        },
  ];
}

/** Shards of one server are one. */
function serverName(cluster: string): string {
  return cluster.replace(/^(server_.+)_\d+$/, "$1");
}

function noFilter(world: World, route: Route, target: string): Finding {
  const chain = route.manager.filters;
  const http = chain.find(({ type, fields }) => type === EXT_AUTHZ_TYPE && hasAt(fields, "http_service"));
  const elsewhere = world.guards.find((guard) => guard.routes.some((one) => leadsTo(one, clustersOf(route))));
  const where = elsewhere === undefined ? "" : `; only listener ${elsewhere.place.listener ?? ""} checks`;
  return {
    rule: http === undefined ? "route-unchecked" : "http-service",
    severity: "high",
    place: route.place,
    message:
      http === undefined
        ? `Requests of this route reach ${target} unchecked: no ext_authz filter that asks mcp-authz is in the filter chain${where}.`
        : `Requests of this route reach ${target} after ext_authz asked over HTTP (http_service): mcp-authz answers gRPC only.`,
    fix:
      http === undefined
        ? "Put ext_authz before the router in this filter chain (`mcp-authz envoy-config` prints it), or take the route away."
        : "Use grpc_service in place of http_service.",
  };
}

function clustersOf({ destinations }: Route): Set<string> {
  return new Set(destinations.flatMap(({ cluster }) => cluster ?? []));
}

function chosenByHeader({ dump }: World, route: Route): Finding {
  const header = textAt(route.fields, "route", "cluster_header") || "of a weighted cluster";
  return {
    rule: "cluster-header",
    severity: "high",
    place: route.place,
    message: `The header ${header} chooses among all ${dump.clusters.size} clusters of this Envoy, mcp-authz itself included.`,
    fix: "Name the clusters: one route for each, matched by the metadata `mcp.route` of the Check.",
  };
}

function pluginFinding(world: World, route: Route): Finding[] {
  if (!world.guards.every(({ manager, filter }) => manager !== route.manager || !runsOn(filter, route))) return [];
  return [
    {
      rule: "cluster-plugin",
      severity: "medium",
      place: route.place,
      message:
        "A cluster specifier plugin chooses where requests of this route go, without a check: it may be an MCP cluster.",
      fix: "Name the cluster in the route, or check the route.",
    },
  ];
}

function exposed(route: Route, cluster: string): Finding {
  return {
    rule: "authz-exposed",
    severity: "high",
    place: route.place,
    message: `Clients reach ${cluster}, which answers Checks: they can ask it what they like and read the credentials of its answers.`,
    fix: "Take the route away; only ext_authz asks this cluster.",
  };
}

/** A request that Envoy answers itself goes nowhere, but serve cannot refuse it or answer its public documents. */
function offOnAnswer(world: World, route: Route): Finding[] {
  const guard = world.guards.find(({ manager, routes }) => manager === route.manager && routes.length > 0);
  const isExact =
    textAt(route.fields, "match", "path") !== "" && !/\/(?:mcp|sse)$/.test(textAt(route.fields, "match", "path"));
  if (guard === undefined || isExact || guard.filter.isOff || runsOn(guard.filter, route)) return [];
  return [
    {
      rule: "answer-unchecked",
      severity: "low",
      place: route.place,
      message:
        "Envoy answers here without a check: mcp-authz cannot name a route, refuse with a reason, or serve its public documents.",
      fix: `Remove \`disabled: true\` from typed_per_filter_config["${guard.filter.name}"].`,
    },
  ];
}

function ofProxies({ proxies, mcp, authz }: World): Finding[] {
  return proxies.flatMap(({ place, clusters }) =>
    clusters
      .filter((cluster) => mcp.has(cluster) || authz.has(cluster))
      .map((cluster) => ({
        rule: "tcp-proxy",
        severity: "high" as const,
        place,
        message: `A TCP proxy passes bytes to ${cluster}: nothing of them is checked.`,
        fix: "Put a connection manager with ext_authz in its place.",
      })),
  );
}

function ofMissing({ managers }: World): Finding[] {
  return managers.flatMap(({ place, missing }) =>
    missing.map((name) => ({
      rule: "not-in-dump",
      severity: "medium" as const,
      place,
      message: `The ${name} is not in the dump: its routes cannot be judged.`,
      fix: "Dump again when Envoy has received it, with the whole /config_dump.",
    })),
  );
}

function ofUnknownFilters({ managers, guards }: World): Finding[] {
  return managers.flatMap((manager) =>
    manager.filters
      .filter(({ isKnown }) => !isKnown && guards.some((guard) => guard.manager === manager))
      .map(({ name }) => ({
        rule: "not-in-dump",
        severity: "medium" as const,
        place: { ...manager.place, filter: name },
        message: `The configuration of filter ${name} (ECDS) is not in the dump: it cannot be judged.`,
        fix: "Dump again when Envoy has received it, or give the filter a typed_config.",
      })),
  );
}

function ofGuard(world: World, guard: Guard): Finding[] {
  const { fields, isMatched } = guard.filter;
  const router = guard.manager.filters.findIndex(({ type }) => type.endsWith(".http.router.v3.Router"));
  const found: Finding[] = [];
  const add = (rule: string, message: string, fix: string) =>
    found.push({ rule, severity: "high", place: guard.place, message, fix });
  if (router !== -1 && router < guard.index)
    add(
      "after-router",
      "ext_authz stands behind the router, which ends the chain: it never runs.",
      "Put it before the router.",
    );
  const { percent, isSwitch } = fractionOf(world, fields);
  const isDenying = isSet(world, at(fields, "deny_at_disable"));
  if (percent < 100 && !isDenying)
    add(
      "check-sampled",
      `ext_authz runs for ${percent} % of the requests${isSwitch ? " (the runtime says so)" : ""}; the others pass unchecked.`,
      "Remove filter_enabled, or set it to 100 %, with deny_at_disable.",
    );
  if (isMatched)
    add(
      "check-conditional",
      "A matcher around ext_authz decides which requests are checked.",
      "Take ext_authz out of the matcher: mcp-authz answers public paths itself.",
    );
  if (hasAt(fields, "filter_enabled_metadata") && !isForAll(guard))
    add(
      "check-conditional",
      `ext_authz runs only where the metadata of ${textAt(fields, "filter_enabled_metadata", "filter")} says so, and nothing before it says so for every request.`,
      "Check every request (in Istio `rules: [{}]`): a path in a rule is passed by other spellings of it. mcp-authz answers public paths itself.",
    );
  return found;
}

/** The share of requests that are checked, with what the runtime's static layers say. */
function fractionOf(world: World, fields: Fields): { percent: number; isSwitch: boolean } {
  const written = percentAt(fields, "filter_enabled", "default_value") ?? (hasAt(fields, "filter_enabled") ? 0 : 100);
  const override = runtimeValue(world, textAt(fields, "filter_enabled", "runtime_key"));
  if (override === undefined) return { percent: written, isSwitch: false };
  const percent = typeof override === "number" ? override : (percentAt({ override }, "override") ?? 0);
  return { percent: Math.min(100, percent), isSwitch: true };
}

/** A feature flag with a default and a key of the runtime. */
function isSet(world: World, flag: unknown): boolean {
  const override = runtimeValue(world, textAt(flag, "runtime_key"));
  return override === undefined ? at(flag, "default_value") === true : override === true || override === "true";
}

function runtimeValue({ dump }: World, key: string): unknown {
  if (key === "") return undefined;
  const layers = listAt(dump.bootstrap, "layered_runtime", "layers").map((layer) => at(layer, "static_layer"));
  // A key is written whole, or as a tree of its parts.
  const values = layers.map((layer) => at(layer, key) ?? at(layer, ...key.split(".")));
  return values.findLast((value) => value !== undefined);
}

/** Istio's way: a shadow policy of RBAC marks the requests. It marks all if a policy matches all. */
function isForAll({ manager, filter, index }: Guard): boolean {
  const matcher = at(filter.fields, "filter_enabled_metadata");
  const marks = textAt(listAt(matcher, "path")[0], "key");
  return manager.filters.slice(0, index).some(({ fields, name, type, isOff }) => {
    if (isOff || !type.endsWith(".rbac.v3.RBAC") || name !== textAt(matcher, "filter")) return false;
    const prefix = textAt(fields, "shadow_rules_stat_prefix");
    const policies = at(fields, "shadow_rules", "policies") ?? {};
    return marks.startsWith(prefix) && Object.values(policies as Fields).some(matchesAll);
  });
}

function matchesAll(policy: unknown): boolean {
  return (
    !hasAt(policy, "condition") &&
    listAt(policy, "permissions").some((one) => isAny(one, "rules")) &&
    listAt(policy, "principals").some((one) => isAny(one, "ids"))
  );
}

function isAny(rule: unknown, members: "rules" | "ids"): boolean {
  const all = at(rule, `and_${members}`);
  const some = at(rule, `or_${members}`);
  if (all !== undefined) return listAt(all, members).every((one) => isAny(one, members));
  if (some !== undefined) return listAt(some, members).some((one) => isAny(one, members));
  return at(rule, "any") === true || textAt(rule, "url_path", "path", "prefix") === "/";
}

/** Places where a copy of a checked request goes, credential included. */
export function mirrorFindings({ guards }: World): Finding[] {
  return guards.flatMap(({ routes }) =>
    routes.flatMap(({ mirrors, place }) =>
      mirrors.map((cluster) => ({
        rule: "mirror",
        severity: "high" as const,
        place,
        message: `A copy of each request goes to ${cluster}, with the credential that mcp-authz has put into it.`,
        fix: "Remove request_mirror_policies from this route.",
      })),
    ),
  );
}
