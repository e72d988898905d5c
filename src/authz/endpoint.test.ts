import { describe, expect, it } from "vitest";
import { endpointTable, findEndpoint } from "./endpoint.ts";

const table = endpointTable({
  publicOrigin: "https://gw.example.com",
  hosts: ["alias.example.com"],
  servers: { s: { allowQuery: false } },
  virtualServers: { support: {} },
  search: false,
  hasSessions: () => false,
});

function resourceAt(host: string, path: string): string | null {
  const found = findEndpoint(table, host, path);
  return found.ok && "resource" in found.value.endpoint
    ? `${found.value.endpoint.kind} ${found.value.endpoint.resource}`
    : null;
}

describe("paths are compared byte by byte", () => {
  it.each([
    ["/mcp", "mcp https://gw.example.com/mcp"],
    ["/servers/s/mcp", "mcp https://gw.example.com/servers/s/mcp"],
    ["/servers/support/mcp", "mcp https://gw.example.com/servers/support/mcp"],
    [
      "/.well-known/oauth-protected-resource/servers/support/mcp",
      "document https://gw.example.com/servers/support/mcp",
    ],
    ["/.well-known/oauth-protected-resource", "document https://gw.example.com/mcp"],
    ["/.well-known/oauth-protected-resource/mcp", "document https://gw.example.com/mcp"],
    ["/.well-known/oauth-protected-resource/servers/s/mcp", "document https://gw.example.com/servers/s/mcp"],
  ])("%s is ours", (path, expected) => expect(resourceAt("gw.example.com", path)).toBe(expected));

  // C10, I11: none of these may reach an endpoint, an exemption or a document.
  it.each([
    "",
    "/",
    "//mcp",
    "/mcp/",
    "/MCP",
    "/mcp;x",
    "/mcp%00",
    "/%6dcp",
    "/mcp%2f",
    "/mcp\\",
    "/mcp#x",
    "/mcp.json",
    "/mcp ",
    "/servers/s/../s/mcp",
    "/servers/./s/mcp",
    "/servers//mcp",
    "/servers/S/mcp",
    "/servers/unknown/mcp",
    "/servers/s/mcp/x",
    "/servers/s%2fmcp",
    "/servers/s/mcp/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/",
    "/.well-known/oauth-protected-resource/../mcp",
    "/.well-known/oauth-protected-resource/servers/unknown/mcp",
    "/.well-known/oauth-protected-resourcex",
    "mcp",
    "*",
    "http://gw.example.com/mcp",
    "/__proto__",
    "/servers/__proto__/mcp",
  ])("C10 %j is 404", (path) => expect(resourceAt("gw.example.com", path)).toBeNull());
});

describe("hosts", () => {
  it.each([
    "gw.example.com",
    "GW.Example.COM",
    "gw.example.com.",
    "gw.example.com:8443",
    "alias.example.com",
    "gw.example.com.:80",
  ])("C12 %s is ours", (host) => expect(resourceAt(host, "/mcp")).not.toBeNull());
  it.each([
    "",
    "evil.example.com",
    "gw.example.com..",
    "gw.example.com,evil",
    "a@gw.example.com",
    "gw.example.com/x",
    "gw.example.com:x",
    "gw.example.com:",
    "gw.example.com:123456",
    " gw.example.com",
    "xgw.example.com",
    "gw.example.com.evil.com",
    "[::1]",
    "gw_example.com",
  ])("C12 %j is 404", (host) => expect(resourceAt(host, "/mcp")).toBeNull());
});

describe("one slash behind a path of ours is told, and served no more than before", () => {
  const about = (path: string, host = "gw.example.com") => {
    const found = findEndpoint(table, host, path);
    return found.ok ? "served" : [found.reason, found.about];
  };

  it.each([
    ["/mcp/", "/mcp"],
    ["/servers/s/mcp/", "/servers/s/mcp"],
    ["/servers/support/mcp/", "/servers/support/mcp"],
    ["/.well-known/oauth-protected-resource/mcp/", "/.well-known/oauth-protected-resource/mcp"],
    ["/.well-known/oauth-protected-resource/", "/.well-known/oauth-protected-resource"],
  ])("%s", (path, meant) => {
    expect(about(path)).toEqual(["route_unknown", `it is ${meant}, without a slash at its end`]);
  });

  it.each(["/", "//", "/mcp//", "/MCP/", "/servers/unknown/mcp/", "/mcp/x/", "/mcp%2f"])(
    "MS-16: nothing is said of %s",
    (path) => {
      expect(about(path)).toEqual(["route_unknown", undefined]);
    },
  );

  it("nothing is said to another host", () => {
    expect(about("/mcp/", "evil")).toEqual(["route_unknown", undefined]);
  });
});

describe("AP-01, AP-03: endpoints of HTTP+SSE", () => {
  const sse = endpointTable({
    publicOrigin: "https://gw.example.com",
    hosts: [],
    servers: { s: { allowQuery: true, legacySse: true }, plain: { allowQuery: false } },
    legacySse: true,
    virtualServers: { support: {} },
    search: false,
    hasSessions: (server) => server !== "plain",
  });
  const at = (paths: string) => {
    const found = findEndpoint(sse, "gw.example.com", paths);
    if (!found.ok || found.value.endpoint.kind !== "mcp") return null;
    const { endpoint, path } = found.value;
    return [path, endpoint.resource, endpoint.server, endpoint.allowQuery, endpoint.legacySse];
  };
  const origin = "https://gw.example.com";

  it.each([
    ["/sse", ["/sse", `${origin}/sse`, null, false, { session: null }]],
    ["/sse/a.b-c", ["/sse", `${origin}/sse`, null, false, { session: "a.b-c" }]],
    ["/servers/support/sse", ["/servers/support/sse", `${origin}/servers/support/sse`, null, false, { session: null }]],
    ["/servers/s/sse", ["/servers/s/sse", `${origin}/servers/s/sse`, "s", false, { session: null }]],
    ["/servers/s/sse/x", ["/servers/s/sse", `${origin}/servers/s/sse`, "s", false, { session: "x" }]],
    ["/servers/s/mcp", ["/servers/s/mcp", `${origin}/servers/s/mcp`, "s", true, null]],
  ])("%s", (path, expected) => expect(at(path)).toEqual(expected));

  it.each([
    ...["/servers/plain/sse", "/servers/plain/sse/x", "/servers/sse/x", "/sse/", "/sse/a/b", "/sse/a%2fb", "/sse//a"],
    ...["/SSE", "/sse/a?b", `/sse/${"a".repeat(2049)}`, "/mcp/x", "/servers/s/mcp/x", "//sse/x", "/sse/../sse/x"],
  ])("%s is not ours", (path) => expect(at(path)).toBeNull());
});

describe("B13: an endpoint that issuers know by another name", () => {
  const at = (challenge: string | null, own: string | null) => {
    const { paths } = endpointTable({
      publicOrigin: "https://gw.example.com",
      hosts: [],
      servers: { s: { allowQuery: false, resource: own }, t: { allowQuery: false } },
      challenge: { resource: challenge },
      virtualServers: { v: {} },
      search: false,
      hasSessions: () => false,
    });
    const document = (path: string) => {
      const endpoint = paths.get(`/.well-known/oauth-protected-resource${path}`);
      return endpoint?.kind === "document" ? endpoint.resource : undefined;
    };
    const accepted = (path: string) => {
      const endpoint = paths.get(path);
      return endpoint?.kind === "mcp" ? [endpoint.resource, endpoint.namedResource ?? null] : [];
    };
    return ["/servers/s/mcp", "/servers/t/mcp", "/servers/v/mcp", "/mcp"].map((path) => {
      expect(accepted(path)[0]).toBe(`https://gw.example.com${path}`);
      expect(document(path)).toBe(accepted(path)[1] ?? accepted(path)[0]);
      if (path === "/mcp") expect(document("")).toBe(document(path));
      return accepted(path)[1];
    });
  };
  it.each<[string | null, string | null, (string | null)[]]>([
    [null, null, [null, null, null, null]],
    [null, "api://s", ["api://s", null, null, null]],
    ["https://gw.example.com", null, Array<string>(4).fill("https://gw.example.com")],
    ["api://gw", "api://s", ["api://s", "api://gw", "api://gw", "api://gw"]],
  ])("challenge.resource %s, servers.s.resource %s", (challenge, own, expected) =>
    expect(at(challenge, own)).toEqual(expected),
  );
});
