// The requests to one Vault, by node-vault's commands on our transport. I/O.
import nodeVault from "node-vault";
import type { Secret } from "../../secret/secret.ts";
import { HttpFault, type HttpClient } from "../../http/client.ts";
import type { JsonValue } from "../../json/types.ts";
import { createTransport, type TransportResponse } from "./transport.ts";

/**
 * The response of a Vault, of any status, or the reason for which there is none that can be read. Nothing is thrown.
 * `responded`: the Vault sent a response, but one that is not strict JSON or is too large.
 */
export type VaultResponse =
  | { readonly ok: true; readonly status: number; readonly body: JsonValue }
  | { readonly ok: false; readonly fault: string; readonly responded: boolean };

/** The commands with one token, or without one. A new log-in is a new client: the token of a client never changes. */
export interface VaultClient {
  /** @param path after `/v1/`, of segments that {@link isSegment} accepts */
  read(path: string): Promise<VaultResponse>;
  /** As {@link read}, from an engine that makes something: it takes longer, and no second one is to be made by a retry. */
  issue(path: string): Promise<VaultResponse>;
  /** @param seconds asked for, from now on */
  renewLease(id: string, seconds: number): Promise<VaultResponse>;
  revokeLease(id: string): Promise<VaultResponse>;
  loginByAppRole(mount: string, roleId: Secret, secretId: Secret): Promise<VaultResponse>;
  /** By an auth method that takes a role and a JWT: `kubernetes`, `jwt`. */
  loginByJwt(mount: string, role: string, jwt: Secret): Promise<VaultResponse>;
  lookUpSelf(): Promise<VaultResponse>;
  renewSelf(): Promise<VaultResponse>;
  revokeSelf(): Promise<VaultResponse>;
}

export interface VaultClientSettings {
  readonly http: HttpClient;
  /** Scheme, host and port. */
  readonly origin: string;
  readonly namespace: string | null;
  /** Time limit of a read. */
  readonly timeoutMs: number;
  readonly token: Secret | null;
}

/** Least time limit of log-ins and renewals, which write to Vault's storage; as a rule no Check waits for them. */
const WRITE_TIMEOUT_MS = 2000;

/** Faults of a response that has arrived. */
const RESPONSE_FAULTS: ReadonlySet<string> = new Set(["not_json", "too_large", "encoded"]);

/** The part of node-vault 0.12 that is used, with the fields that it fills from its environment. */
interface NodeVault {
  token: string;
  namespace: string;
  pathPrefix: string;
  handleVaultResponse(answer: TransportResponse): unknown;
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
  const write = (path: string, body: object) => responseOf(() => commands.write(path, body, options(path, writeMs)));
  return {
    issue: (path) => responseOf(() => commands.read(path, options(path, writeMs))),
    renewLease: (id, seconds) => write("sys/leases/renew", { lease_id: id, increment: seconds }),
    revokeLease: (id) => write("sys/leases/revoke", { lease_id: id }),
    read: (path) => responseOf(() => commands.read(path, options(path, timeoutMs))),
    loginByAppRole: (mount, roleId, secretId) =>
      responseOf(() =>
        commands.approleLogin({
          mount_point: mount,
          role_id: roleId.reveal(),
          secret_id: secretId.reveal(),
          requestOptions: options(`auth/${mount}/login`, writeMs),
        }),
      ),
    loginByJwt: (mount, role, jwt) => write(`auth/${mount}/login`, { role, jwt: jwt.reveal() }),
    lookUpSelf: () =>
      responseOf(() => commands.tokenLookupSelf({ requestOptions: options("auth/token/lookup-self", timeoutMs) })),
    renewSelf: () =>
      responseOf(() => commands.tokenRenewSelf({ requestOptions: options("auth/token/renew-self", writeMs) })),
    // node-vault's own command for this would send the options as the body.
    revokeSelf: () =>
      responseOf(() => commands.write("auth/token/revoke-self", {}, options("auth/token/revoke-self", timeoutMs))),
  };
}

/** Sets every option, some afterwards where an empty one counts as absent, so that no VAULT_… variable takes effect. */
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
  // node-vault's own handler puts the whole body into errors, and takes over any token in a response.
  commands.handleVaultResponse = (answer) => answer;
  return commands;
}

async function responseOf(command: () => Promise<unknown>): Promise<VaultResponse> {
  try {
    const { statusCode, body } = (await command()) as TransportResponse;
    return { ok: true, status: statusCode, body };
  } catch (error) {
    if (!(error instanceof HttpFault)) return { ok: false, fault: "internal", responded: false };
    return { ok: false, fault: error.message, responded: RESPONSE_FAULTS.has(error.code) };
  }
}
