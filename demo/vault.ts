// A real Vault-compatible store on loopback: OpenBao in development mode (all in memory), with AppRole and a policy as
// docs/credentials.md says. For the demo and the tests only.
import { setTimeout as delay } from "node:timers/promises";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requireTool } from "../src/files/program.ts";
import { logPath, startChild, waitReady, type Child } from "./child.ts";

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

export async function startVault(options: VaultOptions): Promise<VaultLab> {
  const store = new DevelopmentStore(options);
  try {
    await store.ready();
  } catch (error) {
    await store.child.stop();
    throw error;
  }
  const { address, account, files } = store;
  return {
    address,
    ...account,
    ...files,
    auditFile: auditFileOf(options.folder),
    api: (method, path, body) => store.api(method, path, body),
    get child() {
      return store.child;
    },
    put: (...entry) => store.put(entry),
    seal: () => store.done("PUT", "sys/seal"),
    unseal: async () => store.done("PUT", "sys/unseal", { key: await unsealKey(store.child) }),
    restart: () => store.restart(),
    stop: () => store.child.stop(),
  };
}

type Entry = Parameters<VaultLab["put"]>;

/** OpenBao's process, set up for the gateway, and what was put into it: a restart forgets all, so it is put again. */
class DevelopmentStore {
  readonly address: string;
  readonly account = { roleId: secretOf("role"), secretId: secretOf("secret") };
  readonly files: { readonly roleIdFile: string; readonly secretIdFile: string };
  readonly #options: VaultOptions;
  readonly #rootToken = secretOf("root");
  readonly #written: Entry[] = [];
  #child: Child;

  constructor(options: VaultOptions) {
    this.#options = options;
    this.address = `http://127.0.0.1:${options.port}`;
    const secrets = join(options.folder, "secrets");
    this.files = { roleIdFile: join(secrets, "vault-role-id"), secretIdFile: join(secrets, "vault-secret-id") };
    mkdirSync(secrets, { recursive: true });
    writeFileSync(this.files.roleIdFile, `${this.account.roleId}\n`, { mode: 0o600 });
    writeFileSync(this.files.secretIdFile, `${this.account.secretId}\n`, { mode: 0o600 });
    this.#child = launch(options, this.#rootToken);
  }

  get child(): Child {
    return this.#child;
  }

  /** Waits for the process, and gives it the AppRole, the policy and every entry. */
  async ready(): Promise<void> {
    await waitReady(this.#child, `${this.address}/v1/sys/health`);
    await this.done("POST", "sys/auth/approle", { type: "approle" });
    await this.done("POST", "sys/policies/acl/mcp-authz", {
      policy: `${GATEWAY_POLICY}${this.#options.policy ?? ""}`,
    });
    const role = {
      token_policies: ["mcp-authz"],
      token_no_default_policy: true,
      token_ttl: "1h",
      token_max_ttl: "24h",
    };
    await this.done("POST", "auth/approle/role/mcp-authz", role);
    await this.done("POST", "auth/approle/role/mcp-authz/role-id", { role_id: this.account.roleId });
    await this.done("POST", "auth/approle/role/mcp-authz/custom-secret-id", { secret_id: this.account.secretId });
    for (const entry of this.#written) await this.#write(entry);
  }

  async api(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    const response = await fetch(`${this.address}/v1/${path}`, {
      method,
      headers: { "x-vault-token": this.#rootToken },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
  }

  /** A request that must succeed. */
  async done(method: string, path: string, body?: unknown): Promise<void> {
    const { status } = await this.api(method, path, body);
    if (status >= 300) throw new Error(`OpenBao: ${method} ${path} gave ${status}`);
  }

  async put(entry: Entry): Promise<void> {
    await this.#write(entry);
    this.#written.push(entry);
  }

  async restart(): Promise<void> {
    await this.#child.stop();
    this.#child = launch(this.#options, this.#rootToken);
    await this.ready();
  }

  async #write([path, data, metadata]: Entry): Promise<void> {
    await this.done("POST", `secret/data/${path}`, { data });
    if (metadata !== undefined) await this.done("POST", `secret/metadata/${path}`, { custom_metadata: metadata });
  }
}

const auditFileOf = (folder: string) => logPath(folder, "openbao-audit.jsonl");

function launch({ port, folder }: VaultOptions, rootToken: string): Child {
  const config = join(folder, "openbao.hcl");
  writeFileSync(config, `audit "file" "log" {\n  options { file_path = "${auditFileOf(folder)}" }\n}\n`);
  return startChild({
    name: "openbao",
    command: requireTool("bao"),
    args: ["server", "-dev", "-dev-no-store-token", `-dev-listen-address=127.0.0.1:${port}`, `-config=${config}`],
    cwd: folder,
    logFile: logPath(folder, "openbao.log"),
    env: { HOME: folder, BAO_DEV_ROOT_TOKEN_ID: rootToken, VAULT_DEV_ROOT_TOKEN_ID: rootToken },
  });
}

/** The key that the development mode prints, some time after it is ready: not before its log has been quiet for a moment. */
async function unsealKey(child: Child): Promise<string> {
  for (const end = Date.now() + 10_000; Date.now() < end; await delay(50)) {
    const [, key] = /Unseal Key: (\S+)\n/.exec(child.output()) ?? [];
    if (key !== undefined) return key;
  }
  throw new Error(`${child.name} has not printed its unseal key within 10 s; see ${child.logFile}`);
}
