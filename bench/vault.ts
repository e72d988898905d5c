// The decision with a credential that a Vault holds for the caller, cached as it is nearly always.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startFakeVault } from "../test/fakes/vault.ts";
import { toolCall } from "./decision.ts";
import { checkCall } from "./grpc-call.ts";
import type { Target } from "./target.ts";

export const vaultTarget: Target = {
  name: "vault",
  title: "the decision, cached Vault credential",
  against: "decision",
  async start(world) {
    const vault = await startFakeVault();
    vault.put("alice/demo", { token: "credential-of-alice" });
    writeFileSync(join(world.folder, "vault-token"), vault.rootToken, { mode: 0o600 });
    const credential = [{ vault: { mount: "secret", path: "{subject}/{server}" } }];
    const { child, address } = await world.start("serve", {
      vault: { address: vault.address, auth: { token: { file: "vault-token" } }, timeoutMs: 700 },
      servers: { demo: { url: "http://127.0.0.1:1/mcp", callRouting: "direct", credential } },
    });
    return { child, call: await checkCall(address, toolCall(world.token)) };
  },
};
