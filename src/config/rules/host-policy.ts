// Rules of the policy that decides what is no MCP endpoint, and of where such paths go. Pure.
import type { Reporter } from "../problem.ts";
import type { Config } from "../schema.ts";

/** Who decides the host's paths that are no MCP endpoint; null for nobody. */
export function hostPolicyOf({ policy }: Pick<Config, "policy">): Config["policy"]["envoy"] {
  if (policy.envoy !== null || policy.mode === "mcp") return policy.envoy;
  return { package: "envoy.authz", rule: "allow", truncatedBody: "refuse", passHeaders: [] };
}

export function checkHostPolicy(config: Config, { problem, warn }: Reporter): void {
  const { policy, servers, envoy } = config;
  const hasServers = Object.keys(servers).length > 0;
  if (policy.mode === "mcp" && !hasServers) problem("servers", "name at least one server");
  if (policy.mode === "envoy") {
    if (hasServers)
      problem(
        "policy.mode",
        "envoy decides no MCP calls, and servers has some: say mode: mcp, and policy.envoy for the other paths",
      );
    if (policy.envoy === null)
      warn("policy.envoy", "is not there: the rule allow of the package envoy.authz decides, as in opa-envoy-plugin");
  }
  if (envoy.upstreams.length > 0 && hostPolicyOf(config) === null)
    problem("envoy.upstreams", "nobody decides these paths: name the policy that does as policy.envoy");
  const seen = new Set<string>();
  envoy.upstreams.forEach(({ prefix }, i) => {
    if (seen.has(prefix)) problem(`envoy.upstreams[${i}].prefix`, "is listed twice");
    seen.add(prefix);
  });
}
