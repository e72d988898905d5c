import { describe, expect, it } from "vitest";
import { configSchema } from "../config/schema.ts";
import { virtualHosts } from "./routes.ts";

function configWith({ wristband = {}, server = {} }: { wristband?: object; server?: object }) {
  const schema = configSchema(
    () => "x",
    (path) => path,
  );
  return schema.parse({
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "k" }], ...wristband },
    servers: { demo: { url: "https://mcp.example.com/mcp", credential: [{ none: {} }], ...server } },
  });
}

interface Route {
  readonly route?: { readonly cluster?: string; readonly prefix_rewrite?: string };
  readonly response_headers_to_remove?: readonly string[];
}

function routesOf(changes: Parameters<typeof configWith>[0]): readonly Route[] {
  const hosts = virtualHosts(configWith(changes)) as readonly { readonly routes: readonly Route[] }[];
  return hosts.flatMap(({ routes }) => routes);
}

describe("a direct route has the path of the server's URL as it is written, as the relay has it", () => {
  it.each(["/mcp", "/a/../mcp", "/a//b/./mcp", "/m%63p", "/mcp/"])("%s", (path) => {
    const server = { url: `https://mcp.example.com${path}`, callRouting: "direct" };
    const paths = routesOf({ server }).flatMap(({ route }) => route?.prefix_rewrite ?? []);
    expect(paths).toEqual([path]);
  });

  it("/ where the URL has no path", () => {
    const server = { url: "https://mcp.example.com", callRouting: "direct" };
    expect(routesOf({ server }).flatMap(({ route }) => route?.prefix_rewrite ?? [])).toEqual(["/"]);
  });
});

describe("no client gets the wristband's header back", () => {
  it.each(["x-authorized-tools", "x-wristband", "x-tools-of-the-caller"])("%s", (header) => {
    const relayed = routesOf({ wristband: { header } }).filter(({ route }) => route?.cluster === "mcp_broker");
    expect(relayed).toHaveLength(2);
    for (const route of relayed) expect(route.response_headers_to_remove).toContain(header);
  });
});
