import { describe, expect, it } from "vitest";
import { configSchema } from "../config/schema.ts";
import { virtualHosts } from "./routes.ts";

function configWith(wristband: object) {
  const schema = configSchema(
    () => "x",
    (path) => path,
  );
  return schema.parse({
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k", file: "k" }], ...wristband },
    servers: { demo: { url: "https://mcp.example.com/mcp", credential: [{ none: {} }] } },
  });
}

interface Route {
  readonly route?: { readonly cluster?: string };
  readonly response_headers_to_remove?: readonly string[];
}

describe("no client gets the wristband's header back", () => {
  it.each(["x-authorized-tools", "x-wristband", "x-tools-of-the-caller"])("%s", (header) => {
    const hosts = virtualHosts(configWith({ header })) as readonly { readonly routes: readonly Route[] }[];
    const relayed = hosts.flatMap(({ routes }) => routes).filter(({ route }) => route?.cluster === "mcp_broker");
    expect(relayed).toHaveLength(2);
    for (const route of relayed) expect(route.response_headers_to_remove).toContain(header);
  });
});
