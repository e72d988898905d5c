// A real Vault-compatible store on loopback: OpenBao in development mode (all in memory), with AppRole and a policy as
// docs/credentials.md says. For the demo and the tests only.
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requireTool } from "../../scripts/lib/find-tool.ts";
import { startChild, waitReady, type Child } from "./child.ts";

export interface VaultOptions {
  readonly port: number;
  /** Where the log and the AppRole's two secret files go. */
  readonly folder: string;
  /** Added to the policy of the gateway's AppRole. */
  readonly policy?: string;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export interface VaultLab {
  readonly address: string;
  readonly roleId: string;
  readonly secretId: string;
  readonly roleIdFile: string;
  readonly secretIdFile: string;
  readonly child: Child;
  /** Its audit log, JSON lines; values are hashed. */
  readonly auditFile: string;
  /** Writes `secret/<path>`; metadata becomes its `custom_metadata`. */
  put(path: string, data: unknown, metadata?: Readonly<Record<string, string>>): Promise<void>;
  /** Any request, as its root. @param path after `/v1/` */
  api(method: string, path: string, body?: unknown): Promise<ApiAnswer>;
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** Ends it and starts it anew at the same address, with the same AppRole and everything that was put. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** What the gateway may do, and nothing else: the role does not get the policy `default`. */
export const GATEWAY_POLICY = `
path "secret/data/+/+" { capabilities = ["read"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
`;
const secretOf = (name: string) => `${name}-${randomBytes(16).toString("hex")}`;

export async function startVault({ port, folder, policy = "" }: VaultOptions): Promise<VaultLab> {
  const address = `http://127.0.0.1:${port}`;
  const account = { roleId: secretOf("role"), secretId: secretOf("secret") };
  const rootToken = secretOf("root");
  const files = {
    roleIdFile: join(folder, "secrets/vault-role-id"),
    secretIdFile: join(folder, "secrets/vault-secret-id"),
  };
  const written: [path: string, data: unknown, metadata: Readonly<Record<string, string>> | undefined][] = [];
  mkdirSync(join(folder, "secrets"), { recursive: true });
  writeFileSync(files.roleIdFile, `${account.roleId}\n`, { mode: 0o600 });
  writeFileSync(files.secretIdFile, `${account.secretId}\n`, { mode: 0o600 });
  const state = { child: launch(port, folder, rootToken) };

  const api: VaultLab["api"] = async (method, path, body) => {
    const response = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { "x-vault-token": rootToken },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
  };
  const done = async (method: string, path: string, body?: unknown) => {
    const { status } = await api(method, path, body);
    if (status >= 300) throw new Error(`OpenBao: ${method} ${path} gave ${status}`);
  };
  const write = async (path: string, data: unknown, metadata?: Readonly<Record<string, string>>) => {
    await done("POST", `secret/data/${path}`, { data });
    if (metadata !== undefined) await done("POST", `secret/metadata/${path}`, { custom_metadata: metadata });
  };
  async function ready(): Promise<void> {
    await waitReady(state.child, `${address}/v1/sys/health`);
    await done("POST", "sys/auth/approle", { type: "approle" });
    await done("POST", "sys/policies/acl/mcp-authz", { policy: `${GATEWAY_POLICY}${policy}` });
    const role = {
      token_policies: ["mcp-authz"],
      token_no_default_policy: true,
      token_ttl: "1h",
      token_max_ttl: "24h",
    };
    await done("POST", "auth/approle/role/mcp-authz", role);
    await done("POST", "auth/approle/role/mcp-authz/role-id", { role_id: account.roleId });
    await done("POST", "auth/approle/role/mcp-authz/custom-secret-id", { secret_id: account.secretId });
    for (const entry of written) await write(...entry);
  }

  try {
    await ready();
  } catch (error) {
    await state.child.stop();
    throw error;
  }
  return {
    address,
    ...account,
    ...files,
    auditFile: auditFileOf(folder),
    api,
    get child() {
      return state.child;
    },
    async put(path, data, metadata) {
      await write(path, data, metadata);
      written.push([path, data, metadata]);
    },
    seal: () => done("PUT", "sys/seal"),
    unseal: () => done("PUT", "sys/unseal", { key: /Unseal Key: (\S+)/.exec(state.child.output())?.[1] }),
    async restart() {
      await state.child.stop();
      state.child = launch(port, folder, rootToken);
      await ready();
    },
    stop: () => state.child.stop(),
  };
}

const auditFileOf = (folder: string) => join(folder, "openbao-audit.jsonl");

function launch(port: number, folder: string, rootToken: string): Child {
  const config = join(folder, "openbao.hcl");
  writeFileSync(config, `audit "file" "log" {\n  options { file_path = "${auditFileOf(folder)}" }\n}\n`);
  return startChild({
    name: "openbao",
    command: requireTool("bao"),
    args: ["server", "-dev", "-dev-no-store-token", `-dev-listen-address=127.0.0.1:${port}`, `-config=${config}`],
    cwd: folder,
    logFile: join(folder, "openbao.log"),
    env: { HOME: folder, BAO_DEV_ROOT_TOKEN_ID: rootToken, VAULT_DEV_ROOT_TOKEN_ID: rootToken },
  });
}
