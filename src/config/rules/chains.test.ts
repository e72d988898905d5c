// Rules of credential chains: what would widen them in silence is said by name.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { stringify } from "yaml";
import { loadConfig } from "../load.ts";

const folder = mkdtempSync(join(tmpdir(), "mcp-authz-chains-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, "pat"), "k9QmT2vX8bN4rW7yZ1cF5hJ3pL6sD0gA", { mode: 0o600 });
const file = { file: "pat" };
const oauth = { tokenEndpoint: "https://idp.example.com/token", client: { id: "gw", secret: file } };
const KINDS = {
  static: { static: file },
  none: { none: {} },
  vault: { vault: { mount: "secret", path: "{subject}/{host}" } },
  dynamic: { vault: { mount: "database", path: "creds/app", dynamic: {} } },
  exchange: { exchange: { ...oauth, audience: "a", scope: "a" } },
  client_credentials: { client_credentials: oauth },
  assertion: { assertion: {} },
};

function warnings(credential: object[]): string[] {
  const path = join(folder, "mcp-authz.yaml");
  const tree = {
    publicOrigin: "https://gw.example.com",
    identity: { issuers: [{ issuer: "https://idp.example.com", audiences: ["a"], algorithms: ["ES256"] }] },
    policy: { path: "policies" },
    wristband: { issuer: "https://gw.example.com", keys: [{ kid: "k1", file: "w.pem" }] },
    assertions: { issuer: "https://gw.example.com", keys: [{ kid: "a1", file: "a.pem" }] },
    vault: { address: "https://vault.example.com", auth: { approle: { roleId: file, secretId: file } } },
    servers: { s: { url: "https://s.example.com/mcp", credential, discovery: [{ static: file }] } },
  };
  writeFileSync(path, stringify(tree));
  return loadConfig(path, {}).warnings.map(({ key, message }) => `${key}: ${message}`);
}

it.each(["static", "none", "client_credentials", "assertion", "exchange", "dynamic"] as const)(
  "behind %s nobody arrives",
  (kind) => {
    const behind = warnings([KINDS.vault, KINDS[kind], KINDS.static]).filter((line) => line.includes("never reached"));
    expect(behind).toEqual([
      expect.stringMatching(
        new RegExp(`^servers\\.s\\.credential\\[2\\]: .*${kind === "dynamic" ? "vault" : kind} before it`),
      ),
    ]);
    expect(warnings([KINDS.vault, KINDS[kind]])).toEqual([]);
  },
);

it.each([
  [{ path: "data/{subject}/{host}" }, "path: begins with data/"],
  [{ path: "metadata/{subject}" }, "path: begins with metadata/"],
  [{ mount: "secret/data" }, "mount: ends with"],
])("%j reads as if nobody had anything", (slip, says) => {
  const told = warnings([{ vault: { ...KINDS.vault.vault, ...slip } }, KINDS.static]);
  expect(told).toEqual([expect.stringContaining(`servers.s.credential[0].vault.${says}`)]);
});
