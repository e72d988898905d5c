import nodeVault from "node-vault";
import type { Secret } from "../../secret/secret.ts";
import { HttpFault, type HttpClient } from "../../http/client.ts";
import type { JsonValue } from "../../json/types.ts";
import { createTransport, type TransportAnswer } from "./transport.ts";

/** What a Vault answered, whatever its status; or why there is no answer. Neither is an error, so nothing is thrown. */
export type Reply =
  | { readonly ok: true; readonly status: number; readonly body: JsonValue }
  | { readonly ok: false; readonly fault: string };

/** Vault's commands with one token, or without one. A new log-in is a new client: no token is ever exchanged in one. */
export interface VaultClient {
  /** @param path after `/v1/`, of segments that {@link isSegment} accepts */
  read(path: string): Promise<Reply>;
  loginByAppRole(mount: string, roleId: Secret, secretId: Secret): Promise<Reply>;
  lookUpSelf(): Promise<Reply>;
  renewSelf(): Promise<Reply>;
  revokeSelf(): Promise<Reply>;
}

export interface VaultClientSettings {
  readonly http: HttpClient;
  /** Scheme, host and port. */
  readonly origin: string;
  readonly namespace: string | null;
  /** For a read. */
  readonly timeoutMs: number;
  readonly token: Secret | null;
}

/** Log-ins and renewals write to Vault's storage, and no request of a caller waits for them as a rule. */
const WRITE_TIMEOUT_MS = 2000;

/** The part of node-vault 0.12 that we use, with the fields that it fills from its environment. */
interface NodeVault {
  token: string;
  namespace: string;
  pathPrefix: string;
  handleVaultResponse(answer: TransportAnswer): unknown;
  read(path: string, options: object): Promise<unknown>;
  write(path: string, data: object, options: object): Promise<unknown>;
  approleLogin(args: object): Promise<unknown>;
  tokenLookupSelf(args: object): Promise<unknown>;
  tokenRenewSelf(args: object): Promise<unknown>;
}

export function createVaultClient(settings: VaultClientSettings): VaultClient {
  const commands = createNodeVault(settings);
  const { timeoutMs } = settings;
  const writeMs = Math.max(timeoutMs, WRITE_TIMEOUT_MS);
  const options = (path: string, limitMs: number) => ({ meant: `/v1/${path}`, limitMs });
  return {
    read: (path) => replyOf(() => commands.read(path, options(path, timeoutMs))),
    loginByAppRole: (mount, roleId, secretId) =>
      replyOf(() =>
        commands.approleLogin({
          mount_point: mount,
          role_id: roleId.reveal(),
          secret_id: secretId.reveal(),
          requestOptions: options(`auth/${mount}/login`, writeMs),
        }),
      ),
    lookUpSelf: () =>
      replyOf(() => commands.tokenLookupSelf({ requestOptions: options("auth/token/lookup-self", timeoutMs) })),
    renewSelf: () =>
      replyOf(() => commands.tokenRenewSelf({ requestOptions: options("auth/token/renew-self", writeMs) })),
    // Its own command for this would send our options as the body.
    revokeSelf: () =>
      replyOf(() => commands.write("auth/token/revoke-self", {}, options("auth/token/revoke-self", timeoutMs))),
  };
}

/** Every option is given, or set afterwards where an empty one would be taken for absent: no VAULT_… variable counts. */
function createNodeVault({ http, origin, namespace, token }: VaultClientSettings): NodeVault {
  const headers = {
    accept: "application/json",
    "x-vault-request": "true",
    ...(token !== null && { "x-vault-token": token.reveal() }),
    ...(namespace !== null && { "x-vault-namespace": namespace }),
  };
  const transport = createTransport({ http, origin, headers });
  const commands = nodeVault({
    apiVersion: "v1",
    endpoint: origin,
    debug: () => {}, // DEBUG=node-vault would print secrets
    "request-promise": { defaults: () => transport },
  }) as unknown as NodeVault;
  commands.token = "";
  commands.namespace = "";
  commands.pathPrefix = "";
  // Its own makes errors with the whole body in them, and logs this client in with any token that it sees.
  commands.handleVaultResponse = (answer) => answer;
  return commands;
}

async function replyOf(command: () => Promise<unknown>): Promise<Reply> {
  try {
    const { statusCode, body } = (await command()) as TransportAnswer;
    return { ok: true, status: statusCode, body };
  } catch (error) {
    return { ok: false, fault: error instanceof HttpFault ? error.code : "internal" };
  }
}
