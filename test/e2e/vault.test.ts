// The contract of test/contract/vault.ts, kept by the real OpenBao.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { findTool } from "../../scripts/lib/find-tool.ts";
import { vaultContract } from "../contract/vault.ts";
import { freePort } from "../lab/ports.ts";
import { startVault } from "../lab/vault.ts";

describe.skipIf(findTool("bao") === null)("with OpenBao", () => {
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
      revokeLogins: async () => {
        const { body } = await vault.api("LIST", "auth/token/accessors");
        for (const accessor of (body as { data: { keys: string[] } }).data.keys) {
          const { body: token } = await vault.api("POST", "auth/token/lookup-accessor", { accessor });
          const { display_name: name } = (token as { data: { display_name: string } }).data;
          if (name === "approle") await vault.api("POST", "auth/token/revoke-accessor", { accessor });
        }
      },
      ttl: async (seconds, max) => {
        await vault.api("POST", "auth/approle/role/mcp-authz", { token_ttl: `${seconds}s`, token_max_ttl: `${max}s` });
      },
      stop: async () => {
        await vault.stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  });
});
