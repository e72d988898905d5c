import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { envoyConfigYaml } from "../../envoy-config/envoy-config.ts";
import { ConfigError, loadConfig } from "../load.ts";
import { checkSettings } from "../settings.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-curation-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const server = (more: object = {}) => ({ url: "http://127.0.0.1:9100/mcp", credential: [{ none: {} }], ...more });

function load(git: object, more: object = {}) {
  const file = join(folder, "mcp-authz.yaml");
  const tree = {
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
    servers: { git: server(git), other: server() },
    ...more,
  };
  writeFileSync(file, stringify(tree));
  return loadConfig(file, {});
}

/** The keys and messages that a file with these keys of one server is refused with. */
function problems(git: object, more: object = {}): string {
  try {
    load(git, more);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((p) => `${p.key}: ${p.message}`).join("\n");
    throw error;
  }
  return "";
}

describe("patterns", () => {
  it.each([
    [{ tools: { allow: ["search_?"] } }, "servers.git.tools.allow[0]: is no pattern"],
    [{ tools: { deny: [""] } }, "servers.git.tools.deny[0]: is no pattern"],
    [{ prompts: { allow: ["^a$"] } }, "servers.git.prompts.allow[0]: is no pattern"],
    [{ resources: { deny: ["docs://a b"] } }, "servers.git.resources.deny[0]: is no pattern"],
    [{ tools: { allow: Array.from({ length: 65 }, (_, i) => `t${i}_*`) } }, "servers.git.tools.allow: holds more than"],
    [{ tools: ["search"] }, "servers.git.tools: "],
    [{ tools: { block: ["x"] } }, "servers.git.tools.block: is not a key"],
    [{ newTools: "hide" }, "servers.git.newTools: "],
  ])("%j is a problem", (keys, text) => expect(problems(keys)).toContain(text));

  it.each([
    [{ tools: { allow: [] } }],
    [{ tools: { allow: ["a", "b_*"], deny: ["b_c"] }, prompts: { deny: ["*"] } }],
    [{ resources: { allow: ["docs://*", "https://x.example.com/?a=*"] } }],
  ])("%j is fine", (keys) => expect(problems(keys)).toBe(""));
});

describe("aliases", () => {
  it.each([
    [{ aliases: { a: "b" }, callRouting: "direct" }, "servers.git.aliases: Envoy cannot rename"],
    [{ aliases: { a: "x", b: "x" } }, 'servers.git.aliases.b: "x" is the name of two tools'],
    [{ aliases: { a: "a" } }, "servers.git.aliases.a: is the tool's own name"],
    [{ aliases: { a: "b" }, tools: { allow: ["a", "b"] } }, 'servers.git.aliases.a: "b" is another tool\'s own name'],
    [{ aliases: { a: "x".repeat(126) } }, "servers.git.aliases.a: is longer than 128"],
    [{ aliases: { a: "b c" } }, "servers.git.aliases.a: is no tool name"],
    [{ aliases: { "a b": "c" } }, "is no tool name"],
  ])("%j is a problem", (keys, text) => expect(problems(keys)).toContain(text));
  it("two names may change places", () =>
    expect(problems({ aliases: { a: "b", b: "a" }, tools: { allow: ["a", "b"] } })).toBe(""));
});

describe("search", () => {
  it.each(["call_", "search_tools", "c", "search_too"])("the prefix %s could make a name of search mode", (prefix) => {
    expect(problems({ prefix }, { search: true })).toMatch(
      /^servers\.git\.prefix: "(call_tool|search_tools)" of search/,
    );
    expect(problems({ prefix })).toBe("");
  });
  it("other prefixes could not", () => expect(problems({ prefix: "calls_" }, { search: true })).toBe(""));
});

describe("newTools: deny", () => {
  const warnings = (tools: object) => load({ newTools: "deny", tools }).warnings.map(({ message }) => message);
  it("warns of patterns without effect", () => {
    expect(warnings({ allow: ["read", "search_*"] })).toEqual([expect.stringContaining("has no effect")]);
    expect(warnings({})).toEqual([expect.stringContaining("offers no tool")]);
    expect(warnings({ allow: ["read"] })).toEqual([]);
  });
});

describe("TB-05: a disabled server", () => {
  const { config } = load({ disabled: true, prefix: "hidden_" });
  it("is in no endpoint, no prefix and no printed Envoy", () => {
    const { endpoints, resolver, curation } = checkSettings(config);
    expect([...endpoints.paths.keys()].filter((path) => path.includes("git"))).toEqual([]);
    expect(resolver.resolve("tool", "hidden_read")).toBeNull();
    expect(resolver.resolve("resource", "git+docs://a")).toBeNull();
    expect(curation.offers("tool", { server: "git", name: "read" }, null)).toBe(false);
    expect(envoyConfigYaml(config)).not.toContain("git");
  });
  it("is still checked", () => expect(problems({ disabled: true, prefix: "other_" })).toContain("prefix"));
});

describe("CF-25: virtual servers", () => {
  const support = (servers: object) => ({ virtualServers: { support: { servers } } });
  it.each([
    [{ virtualServers: { other: { servers: { git: ["*"] } } } }, "virtualServers.other: is the name of a server"],
    [support({ gone: ["*"] }), "virtualServers.support.servers.gone: is not a server"],
    [support({}), "virtualServers.support.servers: name at least one server"],
    [support({ git: ["a b"] }), "virtualServers.support.servers.git[0]: is no pattern"],
    [{ virtualServers: { Support: { servers: { git: ["*"] } } } }, "virtualServers.Support: a server name"],
  ])("%j is a problem", (more, text) => expect(problems({}, more)).toContain(text));
  it("may have a disabled server, which offers nothing, and whose name stays taken", () => {
    const { config } = load({ disabled: true }, support({ git: ["*"], other: ["*"] }));
    const { curation } = checkSettings(config);
    const offers = (server: string) => curation.offers("tool", { server, name: "x" }, "support");
    expect([offers("git"), offers("other")]).toEqual([false, true]);
    expect(problems({ disabled: true }, { virtualServers: { git: { servers: { other: ["*"] } } } })).toContain(
      "is the name",
    );
  });
  it("has a route of the printed Envoy, to the broker alone, and a document", () => {
    const { config } = load({}, { ...support({ git: ["*"] }), callRouting: "direct" });
    const printed = envoyConfigYaml(config);
    expect(printed).toContain("path: /servers/support/mcp\n");
    expect(printed).toContain("path: /.well-known/oauth-protected-resource/servers/support/mcp\n");
    expect(printed).not.toContain("server:support");
  });
});

it.each([0, -1, 1.5, 10_001, "all"])("lists.pageSize: %j is a problem", (pageSize) =>
  expect(problems({}, { lists: { pageSize } })).toContain("lists.pageSize"),
);
