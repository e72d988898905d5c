// Log-in at a Vault by AppRole, by a Pod's service account or by a configured token, and renewal of the lease. I/O through the client.
import { Secret } from "../../secret/secret.ts";
import type { JsonValue } from "../../json/types.ts";
import type { VaultResponse, VaultClient } from "./client.ts";
import { member } from "./json-fields.ts";

/** The auth method with its secrets. */
export type VaultAuth =
  | { readonly approle: { readonly mount: string; readonly roleId: Secret; readonly secretId: Secret } }
  | { readonly token: Secret }
  | {
      readonly kubernetes: {
        readonly mount: string;
        readonly role: string;
        /** The Pod's projected token, which the kubelet renews in its file. */
        readonly jwt: Secret;
      };
    };

/** A token that the Vault issued or confirmed. */
export interface Lease {
  readonly client: VaultClient;
  /** Seconds of life from now on; null for a token without an end. */
  readonly seconds: number | null;
  readonly renewable: boolean;
}

/** `refused`: the same configuration will be refused again. */
export type LoginResult =
  | { readonly ok: true; readonly lease: Lease }
  | { readonly ok: false; readonly refused: boolean; readonly detail: string };

/** Makes a client with this token, or without one. */
export type NewClient = (token: Secret | null) => VaultClient;

const REFUSING = new Set([400, 403, 404, 405]);
const TOKEN = /^[\x21-\x7e]{1,4096}$/;

/** Logs in once, with a new client and the current content of the secret files. */
export function logIn(auth: VaultAuth, newClient: NewClient): Promise<LoginResult> {
  if ("token" in auth) return confirmToken(newClient(auth.token.latest()));
  return "kubernetes" in auth ? byKubernetes(auth.kubernetes, newClient) : byAppRole(auth.approle, newClient);
}

/**
 * Renews a lease.
 * @returns null if the lease is not as long as before: near `max_ttl` a Vault renews for less and less, with status 200, and
 * refuses in the end
 */
export async function renewLease(lease: Lease): Promise<Lease | null> {
  if (!lease.renewable || lease.seconds === null) return null;
  const response = await lease.client.renewSelf();
  const seconds =
    response.ok && response.status === 200 ? secondsOf(member(member(response.body, "auth"), "lease_duration")) : 0;
  return seconds !== undefined && seconds >= lease.seconds ? { ...lease, seconds } : null;
}

async function byAppRole(
  { mount, roleId, secretId }: Extract<VaultAuth, { approle: object }>["approle"],
  newClient: NewClient,
): Promise<LoginResult> {
  return loggedIn(await newClient(null).loginByAppRole(mount, roleId.latest(), secretId.latest()), newClient);
}

/** Vault API, "Kubernetes auth method": the JWT of the Pod's service account. */
async function byKubernetes(
  { mount, role, jwt }: Extract<VaultAuth, { kubernetes: object }>["kubernetes"],
  newClient: NewClient,
): Promise<LoginResult> {
  const token = new Secret(jwt.latest().reveal().trim());
  return loggedIn(await newClient(null).loginByJwt(mount, role, token), newClient);
}

/** Logs one caller in by her own token. @param send guards the request */
export async function logInByJwt(
  { mount, role }: { readonly mount: string; readonly role: string },
  token: Secret,
  { newClient, send }: { newClient: NewClient; send: (ask: () => Promise<VaultResponse>) => Promise<VaultResponse> },
): Promise<LoginResult> {
  return loggedIn(await send(() => newClient(null).loginByJwt(mount, role, token)), newClient);
}

function loggedIn(response: VaultResponse, newClient: NewClient): LoginResult {
  if (!response.ok || response.status !== 200) return loginFailure(response);
  const auth = member(response.body, "auth");
  const token = member(auth, "client_token");
  if (typeof token !== "string" || !TOKEN.test(token)) return malformed();
  return leaseOf(newClient(new Secret(token)), auth, "lease_duration");
}

/** Looks a configured token up: whether it is valid, and for how long. */
async function confirmToken(client: VaultClient): Promise<LoginResult> {
  const response = await client.lookUpSelf();
  if (!response.ok || response.status !== 200) return loginFailure(response);
  return leaseOf(client, member(response.body, "data"), "ttl");
}

function leaseOf(client: VaultClient, facts: JsonValue | undefined, lifetime: "lease_duration" | "ttl"): LoginResult {
  const seconds = secondsOf(member(facts, lifetime));
  if (seconds === undefined) return malformed();
  const renewable = member(facts, "renewable") === true;
  return { ok: true, lease: { client, seconds: seconds === 0 ? null : seconds, renewable } };
}

function loginFailure(response: VaultResponse): LoginResult {
  if (!response.ok) return { ok: false, refused: false, detail: response.fault };
  return { ok: false, refused: REFUSING.has(response.status), detail: `status ${response.status}` };
}

function malformed(): LoginResult {
  return { ok: false, refused: false, detail: "the answer is not a Vault's" };
}

function secondsOf(value: JsonValue | undefined): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
