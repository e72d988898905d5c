// Resource URIs that a server's URL library reads as one outside of the granted folder: refused.
import { createServer, type Server } from "node:http";
import { McpServer, createMcpHandler } from "@modelcontextprotocol/server";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { afterAll, beforeAll, expect, it } from "vitest";
import { legacy } from "../e2e/client.ts";
import { withoutCredential } from "./hostile.ts";
import { openAttackLab, told, type AttackLab } from "./lab.ts";

let lab: AttackLab;
let alice: string;
let files: Server;

/** The official SDK: it looks resources up by what WHATWG's URL parser makes of the URI. */
async function startFiles(): Promise<string> {
  const node = toNodeHandler(
    createMcpHandler(() => {
      const server = new McpServer({ name: "files", version: "1.0.0" });
      for (const [uri, text] of [
        ["file:///srv/public/a", "PUBLIC"],
        ["file:///srv/", "PRIVATE"],
        ["file:///srv/secret", "PRIVATE"],
        ["file:///", "PRIVATE"],
      ] as const)
        server.registerResource(uri, uri, {}, ({ href }) => ({ contents: [{ uri: href, text }] }));
      return server;
    }),
  );
  files = createServer((request, response) => void node(request as never, response as never));
  await new Promise<void>((done) => {
    files.listen(0, "127.0.0.1", done);
  });
  return `http://127.0.0.1:${(files.address() as { port: number }).port}/mcp`;
}

beforeAll(async () => {
  const url = await startFiles();
  lab = await openAttackLab({
    servers: { files: withoutCredential(url) },
    grants: { files: { resource: ["file:///srv/public/*"] } },
  });
  alice = await lab.idp.mint("alice");
});
afterAll(async () => {
  await lab.stop();
  files.closeAllConnections();
  files.close();
});

const read = (uri: string) =>
  legacy(lab.gateway, "resources/read", { uri }, { token: alice, path: "/servers/files/mcp" });

it("what is granted is read, and what is not is refused [F3]", async () => {
  expect((await read("file:///srv/public/a")).text).toContain("PUBLIC");
  expect(told(await read("file:///srv/"))).toBe("200 policy_denied");
});

it.each([
  "file:///srv/public/.. ",
  "file:///srv/public/..  ",
  "file:///srv/public/../ ",
  "file:///srv/public/ ..",
  "file:///srv/public/a ",
  " file:///srv/public/a",
  "file:///srv/public/..",
  "file:///srv/public/../secret",
  "file:///srv/public/..\\secret",
  "file:///srv/public\\..\\secret",
  "file:///srv/public/.\t./secret",
  "file:///srv/public/.\n.",
  "file:///srv/public/..\r",
  "file:///srv/public/..\u0000",
  "file:///srv/public/..\u001f",
  "file:///srv/public/..\u007f",
  "file:///srv/public/..\u00a0",
  "file:///srv/public/..\u3000",
  "file:///srv/public/..\u2028",
  "file:///srv/public/..\ufeff",
  "file:///srv/public/%2e%2e",
  "file:///srv/public/%2E./",
  "file:///srv/public/.%2e ",
  "file:///srv/public/%2e%2e ",
  "file:///srv/public/.. #f",
  "file:///srv/public/..?q",
  "file:///srv/public/..#f",
  "file:///srv/public/.. ?q",
  "file:///srv/public/%252e%252e/secret",
  "file:///srv/public/．．/secret",
  "file:///srv/public/․․/secret",
  "file:///srv/public/..;/secret",
])("%j never leads out of the granted folder [F3]", async (uri) => {
  const reply = await read(uri);
  expect(reply.text).not.toContain("PRIVATE");
  // A URL library may strip or turn what RFC 3986 does not have: whatever holds that is refused for its form.
  if (/[\s\p{Cc}\\]/u.test(uri)) expect(told(reply)).toBe("400 params_invalid");
});
