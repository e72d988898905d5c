// The direct route carries what the broker would carry, and no more: of the client's headers, and of the server's.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { legacy, type Reply } from "../e2e/client.ts";
import { startHostileServer, type HostileServer } from "./hostile.ts";
import { openAttackLab, type AttackLab } from "./lab.ts";

/** Names that servers and their proxies are known to believe, and one that nobody knows. */
const BELIEVED = {
  sudo: "root",
  "impersonate-user": "admin",
  "impersonate-group": "system:masters",
  "x-remote-user": "bob",
  "x-remote-group": "admins",
  "x-webauth-user": "admin",
  "x-auth-request-email": "admin@example.org",
  "x-goog-authenticated-user-email": "admin@example.org",
  "x-amzn-oidc-identity": "admin",
  "x-ms-client-principal": "YWRtaW4=",
  "cf-access-authenticated-user-email": "admin@example.org",
  "tailscale-user-login": "admin",
  "private-token": "x",
  "x-api-key": "x",
  "proxy-authorization": "Basic eDp4",
  cookie: "session=x",
  "x-http-method-override": "DELETE",
  "x-user-id": "1",
  "true-client-ip": "127.0.0.1",
  "x-client-ip": "127.0.0.1",
  "x-cluster-client-ip": "127.0.0.1",
  "x-nobody-knows-this": "1",
};
const ANSWERED = {
  location: "https://evil.example/",
  refresh: "0;url=https://evil.example",
  "clear-site-data": '"*"',
  "access-control-allow-origin": "*",
  "access-control-allow-credentials": "true",
  "alt-svc": 'h2="evil.example:443"',
  "strict-transport-security": "max-age=0",
  "set-cookie": "a=b",
  "www-authenticate": 'Bearer resource_metadata="https://evil.example"',
  link: "<https://evil.example>; rel=preload",
  nel: "{}",
  "report-to": "{}",
  "mcp-session-id": "evil",
};

let server: HostileServer;
let lab: AttackLab;
let alice: string;

beforeAll(async () => {
  server = await startHostileServer({
    call: ({ request, response, message, result }) => {
      const status = { moved: 307, found: 302, gone: 401, fine: 200 }[message.params?.name ?? ""];
      if (status === undefined) return result({ content: [{ type: "text", text: JSON.stringify(request.headers) }] });
      response.writeHead(status, { ...ANSWERED, "content-type": "application/json" });
      return response.end(JSON.stringify({ jsonrpc: "2.0", id: message.id, result: { content: [] } }));
    },
  });
  const credential = [{ static: { file: "secrets/demo" } }];
  lab = await openAttackLab({
    servers: { d: { url: server.url, callRouting: "direct", credential }, b: { url: server.url, credential } },
    grants: { d: { tool: ["*"] }, b: { tool: ["*"] } },
  });
  alice = await lab.idp.mint("alice");
});
afterAll(async () => {
  await lab.stop();
  await server.close();
});

function call(route: string, name: string, headers: Record<string, string> = {}): Promise<Reply> {
  const options = { token: alice, path: `/servers/${route}/mcp`, headers };
  return legacy(lab.gateway, "tools/call", { name, arguments: {} }, options);
}

describe.each([
  ["direct", "d"],
  ["by the broker", "b"],
])("%s [F6]", (_, route) => {
  it("no header of the client arrives beside the credential", async () => {
    const reply = await call(route, "show", BELIEVED);
    const result = reply.message?.["result"] as { content: { text: string }[] } | undefined;
    const arrived = Object.keys(JSON.parse(result?.content[0]?.text ?? "{}") as object);
    expect(arrived).toContain("authorization");
    expect(arrived.filter((name) => name in BELIEVED)).toEqual([]);
  });

  it.each(["moved", "found"])("a redirect is no answer: %s", async (name) => {
    const reply = await call(route, name);
    expect([reply.status, reply.headers.get("location")]).toEqual([502, null]);
  });

  it.each(["moved", "gone", "fine"])("no header of the server comes back: %s", async (name) => {
    const { headers } = await call(route, name);
    expect(Object.entries(ANSWERED).filter(([header, value]) => headers.get(header) === value)).toEqual([]);
  });
});
