// Two entries whose paths in a Vault can be one: a caller who is called as another's role or entry would get what is there.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { ConfigError, loadConfig } from "../load.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-vault-rules-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, "pat"), "k9QmT2vX8bN4rW7yZ1cF5hJ3pL6sD0gA", { mode: 0o600 });
const file = { file: "pat" };

/** What is said of two servers with such entries. */
function told(a: object, b: object): string {
  const path = join(folder, "mcp-authz.yaml");
  const server = (name: string, entry: object) => ({
    ...{ url: `https://${name}.example.com/mcp`, discovery: [{ static: file }] },
    credential: [{ vault: { mount: "database", ...entry } }],
  });
  const tree = {
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
    vault: { address: "https://vault.example.com", auth: { approle: { roleId: file, secretId: file } } },
    servers: { a: server("a", a), b: server("b", b) },
  };
  writeFileSync(path, stringify(tree));
  try {
    loadConfig(path, {});
    return "";
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message;
  }
}

const dynamic = {};
it.each<[string, object, object, boolean]>([
  ["a role of people and one of a name", { path: "creds/{username}", dynamic }, { path: "creds/admin", dynamic }, true],
  ["the other way", { path: "creds/admin", dynamic }, { path: "creds/{username}", dynamic }, true],
  ["two names of people", { path: "creds/{username}", dynamic }, { path: "creds/{subject}", dynamic }, true],
  ["a role called as its server", { path: "creds/{username}", dynamic }, { path: "creds/{server}", dynamic }, true],
  [
    "a mount that is cut otherwise",
    { path: "creds/{username}", dynamic },
    { mount: "database/creds", path: "admin", dynamic },
    true,
  ],
  ["one role for both", { path: "creds/app", dynamic }, { path: "creds/app", dynamic }, false],
  ["the same people's roles", { path: "creds/{username}", dynamic }, { path: "creds/{username}", dynamic }, false],
  ["roles in segments of their own", { path: "creds/{username}", dynamic }, { path: "static/admin", dynamic }, false],
  ["another mount", { path: "creds/{username}", dynamic }, { mount: "rabbitmq", path: "creds/admin", dynamic }, false],
  ["entries of KV version 2", { path: "{username}" }, { path: "admin" }, true],
])("%s", (_, a, b, meets) => {
  const text = told(a, b);
  if (!meets) expect(text).toBe("");
  else expect(text).toContain("servers.b.credential[0].vault.path: can be a path of servers.a.credential[0].vault too");
});
