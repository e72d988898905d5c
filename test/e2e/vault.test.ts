// The contract of test/contract/vault.ts, kept by the real OpenBao.
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { signCompactJws } from "../../src/jose/sign-compact.ts";
import { Secret } from "../../src/secret/secret.ts";
import { findTool } from "../../src/files/program.ts";
import { vaultLeasesContract } from "../contract/vault-leases.ts";
import { vaultContract } from "../contract/vault.ts";
import { startFakeRabbit } from "../fakes/rabbitmq.ts";
import { ask, openVault, person } from "../fakes/open-vault.ts";
import { freePort } from "../../demo/ports.ts";
import { GATEWAY_POLICY, startVault, type VaultLab } from "../../demo/vault.ts";

/** Ends all tokens that AppRole issued. */
async function revokeLogins(vault: VaultLab): Promise<void> {
  const { body } = await vault.api("LIST", "auth/token/accessors");
  for (const accessor of (body as { data: { keys: string[] } }).data.keys) {
    const { body: token } = await vault.api("POST", "auth/token/lookup-accessor", { accessor });
    const { display_name: name } = (token as { data: { display_name: string } }).data;
    if (name === "approle") await vault.api("POST", "auth/token/revoke-accessor", { accessor });
  }
}

const LEASE_POLICY = `path "rabbit/creds/+" { capabilities = ["read"] }
  path "rabbit/creds/secret-role" { capabilities = ["deny"] }
  path "sys/leases/renew" { capabilities = ["update"] }
  path "sys/leases/revoke" { capabilities = ["update"] }`;

describe.skipIf(findTool("bao") === null)("with OpenBao", () => {
  vaultLeasesContract("OpenBao's engine rabbitmq", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mcp-authz-vault-"));
    const rabbit = await startFakeRabbit();
    const vault = await startVault({ port: await freePort(), folder, policy: LEASE_POLICY });
    const made = async (path: string, body: unknown) => {
      const { status } = await vault.api("POST", path, body);
      expect(`${path} ${status < 300}`).toBe(`${path} true`);
    };
    await made("sys/mounts/rabbit", { type: "rabbitmq" });
    await made("rabbit/config/connection", { connection_uri: rabbit.url, username: "admin", password: "admin" });
    await made("rabbit/roles/app", { vhosts: '{"/": {"write": ".*", "read": ".*"}}' });
    await vault.put("alice/x", { token: "pat" });
    const { address, roleId, secretId } = vault;
    return {
      ...{ address, roleId, secretId, mount: "rabbit" },
      users: () => [...rabbit.users],
      lease: (ttl, max) => made("rabbit/config/lease", { ttl, max_ttl: max }),
      revokeLeases: () => made("sys/leases/revoke-prefix/rabbit", { sync: true }),
      revokeLogins: () => revokeLogins(vault),
      async stop() {
        await vault.stop();
        await rabbit.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  });

  vaultContract("OpenBao", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mcp-authz-vault-"));
    const policy = `path "secret/data/mallory/+" { capabilities = ["deny"] }
      path "old/*" { capabilities = ["read"] }`;
    const vault = await startVault({ port: await freePort(), folder, policy });
    await vault.api("POST", "sys/mounts/old", { type: "kv", options: { version: "1" } });
    const { address, roleId, secretId, seal, unseal } = vault;
    return {
      ...{ address, roleId, secretId, seal, unseal, v1Mount: "old", forbiddenUser: "mallory" },
      soak: { seconds: 2, max: 5, ms: 9000 },
      put: (path, data, owner) => vault.put(path, data, owner && { owner_iss: owner.issuer, owner_sub: owner.subject }),
      remove: async (path) => void (await vault.api("DELETE", `secret/data/${path}`)),
      destroy: async (path) => {
        const { body } = await vault.api("GET", `secret/data/${path}`);
        const { version } = (body as { data: { metadata: { version: number } } }).data.metadata;
        await vault.api("PUT", `secret/destroy/${path}`, { versions: [version] });
      },
      revokeLogins: () => revokeLogins(vault),
      ttl: async (seconds, max) => {
        await vault.api("POST", "auth/approle/role/mcp-authz", { token_ttl: `${seconds}s`, token_max_ttl: `${max}s` });
      },
      stop: async () => {
        await vault.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  });

  it("G15: callers read with what their own tokens got: the Vault's policy decides, whatever path is asked for", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mcp-authz-vault-"));
    const vault = await startVault({ port: await freePort(), folder });
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const made = async (path: string, body: unknown) => {
      const { status } = await vault.api("POST", path, body);
      expect(`${path} ${status < 300}`).toBe(`${path} true`);
    };
    await made("sys/auth/jwt", { type: "jwt" });
    await made("auth/jwt/config", { jwt_validation_pubkeys: [publicKey.export({ type: "spki", format: "pem" })] });
    const { body } = await vault.api("GET", "sys/auth");
    const { accessor } = (body as { data: Record<string, { accessor: string }> }).data["jwt/"]!;
    const policy = `path "secret/data/{{identity.entity.aliases.${accessor}.name}}/+" { capabilities = ["read"] }
      path "auth/token/revoke-self" { capabilities = ["update"] }`;
    await made("sys/policies/acl/caller", { policy });
    const role = { role_type: "jwt", user_claim: "sub", bound_audiences: ["vault"], token_policies: ["caller"] };
    await made("auth/jwt/role/caller", { ...role, token_no_default_policy: true, token_ttl: "1h" });
    for (const who of ["alice", "bob"]) await vault.put(`${who}/api.github.com`, { token: `pat-of-${who}` });
    const caller = (sub: string, wants: string, aud = "vault") => {
      const exp = Math.floor(Date.now() / 1000) + 600;
      const token = signCompactJws({ alg: "ES256", typ: "JWT" }, { sub, aud, exp, iat: exp - 600 }, privateKey);
      return person(sub, { subject: sub, expiresAt: exp, token: new Secret(token), claims: { wants } });
    };
    const ours = openVault(vault, { callerLogin: { mount: "jwt", role: "caller" } });
    const source = ours.source({ asCaller: true, path: "{claim:wants}/{host}" });
    expect(await ask(source, caller("alice", "alice"))).toEqual(["found", "Bearer pat-of-alice"]);
    expect(await ask(source, caller("bob", "bob"))).toEqual(["found", "Bearer pat-of-bob"]);
    expect((await ask(source, caller("bob", "alice")))[0]).toBe("cannotTell");
    expect((await ask(source, caller("alice", "alice", "another")))[0]).toBe("refused");
    const tokens = async () => {
      const { body: list } = await vault.api("LIST", "auth/token/accessors");
      return (list as { data: { keys: string[] } }).data.keys.length;
    };
    const before = await tokens();
    await ours.vault.close();
    expect(before - (await tokens())).toBe(3);
    await vault.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("G13: a namespace has its own log-in and its own entries", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mcp-authz-vault-"));
    const vault = await startVault({ port: await freePort(), folder });
    const made = async (path: string, body: unknown) => {
      const { status } = await vault.api("POST", path, body);
      expect(`${path} ${status < 300}`).toBe(`${path} true`);
    };
    await made("sys/namespaces/team-a", {});
    await made("team-a/sys/auth/approle", { type: "approle" });
    await made("team-a/sys/mounts/secret", { type: "kv", options: { version: "2" } });
    await made("team-a/sys/policies/acl/mcp-authz", { policy: GATEWAY_POLICY });
    await made("team-a/auth/approle/role/r", { token_policies: ["mcp-authz"], token_no_default_policy: true });
    await made("team-a/auth/approle/role/r/role-id", { role_id: "role-of-a" });
    await made("team-a/auth/approle/role/r/custom-secret-id", { secret_id: "secret-of-a" });
    await made("team-a/secret/data/alice/api.github.com", { data: { token: "pat-in-a" } });
    await vault.put("alice/api.github.com", { token: "pat-in-root" });
    const inside = { address: vault.address, roleId: "role-of-a", secretId: "secret-of-a" };
    for (const [account, namespace, pat] of [
      [inside, "team-a", "pat-in-a"],
      [vault, null, "pat-in-root"],
    ] as const) {
      const ours = openVault(account, { namespace });
      await ours.vault.start();
      expect(await ask(ours.source(), person("alice"))).toEqual(["found", `Bearer ${pat}`]);
      await ours.vault.close();
    }
    await vault.stop();
    rmSync(folder, { recursive: true, force: true });
  });
});
